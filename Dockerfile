# Broker and Connect worker as an image, made from the wheel: no root, one volume, a health check. docs/containers.md
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY pybroker pybroker
COPY connect connect
# The wheel of this project and those of everything that it needs.
RUN pip wheel --no-cache-dir --wheel-dir /wheels '.[connect]'

FROM python:3.13-slim
# An owner by number: orchestrators that insist on a user without root can tell.
RUN useradd --system --uid 10001 --home-dir /var/lib/pybroker --create-home pybroker
# hadolint ignore=DL3013
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels 'pybroker[connect]'
ENV PYTHONUNBUFFERED=1 \
    KAFKA_LOG_DIRS=/var/lib/pybroker/data \
    KAFKA_PYBROKER_HTTP_LISTENER=0.0.0.0:9404
USER 10001
WORKDIR /var/lib/pybroker
VOLUME /var/lib/pybroker
# For the host, for other containers, for health and metrics.
EXPOSE 9092 19092 9404
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9404/health', timeout=2)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["pybroker"]
CMD ["start", "--config-from-env"]
