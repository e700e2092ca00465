# syntax=docker/dockerfile:1
# One image for receiver, worker and command line. docs/deployment.md says how to run it.
# The base is pinned; docs/deployment.md says how to renew it, or to build on another.
ARG PYTHON_TAG=3.13-slim-trixie
ARG PYTHON_DIGEST=sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b
ARG BASE=python:${PYTHON_TAG}@${PYTHON_DIGEST}

FROM ${BASE} AS build
WORKDIR /src
COPY requirements.lock requirements-image.lock pyproject.toml README.md LICENSE ./
RUN python3 -m venv /opt/build \
    && /opt/build/bin/python -m pip install --no-cache-dir --require-hashes -r requirements.lock
COPY apitraffic_events ./apitraffic_events
COPY receiver ./receiver
# The environment that ships is created without pip, contains no build tools, and nothing in it is editable.
RUN /opt/build/bin/python -m pip wheel --no-cache-dir --no-build-isolation --no-deps --wheel-dir /opt/wheel . \
    && python3 -m venv --without-pip /opt/apitraffic \
    && /opt/build/bin/python -m pip --python /opt/apitraffic/bin/python install --no-cache-dir --require-hashes \
        --only-binary :all: -r requirements-image.lock \
    && /opt/build/bin/python -m pip --python /opt/apitraffic/bin/python install --no-cache-dir --no-index --no-deps \
        /opt/wheel/*.whl

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="apitraffic-events" \
      org.opencontainers.image.description="Puts deploys and incidents on ApiTraffic's charts" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/apitraffic /opt/apitraffic
# Only the spool is written. It is a volume, so that the root file system can be read-only.
RUN rm -rf /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip /usr/local/bin/pip* \
    && groupadd --gid 10001 apitraffic \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin apitraffic \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/apitraffic
ENV PATH=/opt/apitraffic/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    APITRAFFIC_SPOOL=/var/lib/apitraffic/spool.sqlite
WORKDIR /var/lib/apitraffic
VOLUME /var/lib/apitraffic
USER 10001:10001
EXPOSE 8080
# For the receiver; compose.yaml switches it off for workers.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python3", "-m", "receiver.serving.healthcheck"]
ENTRYPOINT ["apitraffic-events"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
