# convserve in a container: docker build -t convserve .
# A mirror or another Python is a build argument: --build-arg BASE=registry.example/python:3.12-slim
# Pin what it is built on by its digest: --build-arg BASE=python:3.13-slim@sha256:...
# So is what comes along, the extras of pyproject.toml with spaces between them: --build-arg EXTRAS="onnxruntime otel"
# onnx: models are written and read as ONNX files; onnxruntime: CONVSERVE_INFERENCE can let ONNX Runtime compute
# predictions, too (115 MB more); otel: traces; cluster: rows in PostgreSQL, files in S3.
# With Ray for the nodes of a cluster, and the extra of that name: --target cluster, see docs/cluster.md
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv --without-pip /build && python -m venv --without-pip /opt/convserve

# The libraries come first: their layer stays valid until a lock changes.
ARG EXTRAS=
COPY requirements/build.txt requirements/runtime.txt requirements/sbom.txt requirements/cluster.txt \
     requirements/onnx.txt requirements/onnxruntime.txt requirements/otel.txt requirements/ray.txt requirements/
# The libraries' own tests and what is for type checkers alone are left out: 22 MB that nothing runs.
RUN python -m pip --python /build/bin/python install --require-hashes -r requirements/build.txt \
 && /build/bin/pip --python /build/bin/python install --require-hashes -r requirements/sbom.txt \
 && for name in runtime ${EXTRAS}; do \
      /build/bin/pip --python /opt/convserve/bin/python install --require-hashes -r "requirements/${name}.txt" || exit 1; \
    done \
 && find /opt/convserve -type d -name tests -path "*/site-packages/*" -prune -exec rm -r {} + \
 && find /opt/convserve -type f -name "*.pyi" -path "*/site-packages/*" -delete

COPY docker/sbom.py docker/
COPY pyproject.toml README.md LICENSE ./
COPY engine engine
COPY app app
RUN /build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /dist . \
 && /build/bin/pip --python /opt/convserve/bin/python install --no-deps --no-index /dist/*.whl \
 && /build/bin/python docker/sbom.py /opt/convserve /opt/convserve/share/sbom.cdx.json

FROM build AS build-cluster
RUN for name in cluster ray; do \
      /build/bin/pip --python /opt/convserve/bin/python install --require-hashes -r "requirements/${name}.txt" || exit 1; \
    done \
 && find /opt/convserve -type d -name tests -path "*/site-packages/*" -prune -exec rm -r {} + \
 && find /opt/convserve -type f -name "*.pyi" -path "*/site-packages/*" -delete \
 && /build/bin/python docker/sbom.py /opt/convserve /opt/convserve/share/sbom.cdx.json

FROM ${BASE} AS system
LABEL org.opencontainers.image.title="convserve" \
      org.opencontainers.image.description="Define, train and serve convolutional neural networks over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0"
# No program of the base image may give anybody more rights than they came with.
RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
 && groupadd --gid 10001 convserve \
 && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin convserve \
 && install --directory --owner=10001 --group=10001 /data
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
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"CONVSERVE_PORT\"]}/readyz', timeout=4)"]
ENTRYPOINT ["convserve"]
CMD ["serve"]

FROM system AS cluster
COPY --from=build-cluster /opt/convserve /opt/convserve

FROM system
COPY --from=build /opt/convserve /opt/convserve
