# convserve in a container: docker build -t convserve .
# A mirror or another Python is a build argument: --build-arg BASE=registry.example/python:3.12-slim
# So is what comes along: with --build-arg LIBRARIES=onnxruntime models can be written and read as ONNX files, and
# CONVSERVE_INFERENCE can let ONNX Runtime compute predictions; 115 MB more.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv --without-pip /build && python -m venv --without-pip /opt/convserve

# The libraries come first: their layer stays valid until a lock changes.
ARG LIBRARIES=runtime
COPY requirements/build.txt requirements/runtime.txt requirements/onnxruntime.txt requirements/
RUN python -m pip --python /build/bin/python install --require-hashes -r requirements/build.txt \
 && /build/bin/pip --python /opt/convserve/bin/python install --require-hashes -r "requirements/${LIBRARIES}.txt"

COPY pyproject.toml README.md LICENSE ./
COPY engine engine
COPY app app
RUN /build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /dist . \
 && /build/bin/pip --python /opt/convserve/bin/python install --no-deps --no-index /dist/*.whl

FROM ${BASE}
RUN groupadd --gid 10001 convserve \
 && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin convserve \
 && install --directory --owner=10001 --group=10001 /data
COPY --from=build /opt/convserve /opt/convserve
# Outside the container's own loopback it only listens with a key: give it CONVSERVE_API_KEY.
ENV PATH=/opt/convserve/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CONVSERVE_HOST=0.0.0.0 \
    CONVSERVE_PORT=8000 \
    CONVSERVE_DATA_DIR=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"CONVSERVE_PORT\"]}/readyz', timeout=4)"]
ENTRYPOINT ["convserve"]
CMD ["serve"]
