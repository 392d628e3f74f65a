"use strict";

// How Swagger UI is set. Addresses are relative to the page, so that it works below any path.
SwaggerUIBundle({
  dom_id: "#swagger-ui",
  url: "docs/openapi.json",
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset],
  layout: "BaseLayout",
  deepLinking: true,
  showExtensions: true,
  showCommonExtensions: true,
  // its default asks a server on the internet to validate the document
  validatorUrl: null,
  tryItOutEnabled: true,
  // schemas are shown by the names of their fields, opened by whoever wants more of them
  defaultModelsExpandDepth: -1,
  syntaxHighlight: false,
  // the sections are shown, and the calls of the one that is clicked: drawing all takes the page twice as long
  docExpansion: "none",
});
