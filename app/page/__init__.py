"""The files of the web page, served as they are by `app.web.page`: below `/page`, and `index.html` at `/`."""
