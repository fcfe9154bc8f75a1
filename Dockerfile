# The broker as a container: one volume, no root, a health check over HTTP.
FROM python:3.13-slim AS build
WORKDIR /source
RUN python -m venv /opt/pybroker
COPY pyproject.toml README.md ./
COPY pybroker pybroker
COPY connect connect
RUN /opt/pybroker/bin/pip install --no-cache-dir . && /opt/pybroker/bin/python -m compileall -q /opt/pybroker/lib

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/pybroker --create-home pybroker
COPY --from=build /opt/pybroker /opt/pybroker
ENV PATH=/opt/pybroker/bin:$PATH PYTHONUNBUFFERED=1
USER pybroker
WORKDIR /var/lib/pybroker
VOLUME /var/lib/pybroker
EXPOSE 9092 9404
# /health and /metrics are on port 9404.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9404/health', timeout=2)"]
STOPSIGNAL SIGTERM
# Clients are told the container's host name. Where they cannot resolve it, say what they can reach:
#   docker run -p 9092:9092 IMAGE --set advertised.listeners=PLAINTEXT://localhost:9092
ENTRYPOINT ["pybroker", "start", "--data-dir", "/var/lib/pybroker/data", "--listen", "0.0.0.0:9092", \
            "--set", "pybroker.http.listener=0.0.0.0:9404"]
