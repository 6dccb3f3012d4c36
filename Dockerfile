# Fungarium: runs the server by default; any other command can be given.
#   docker build --tag fungarium .
#   docker run --publish 8000:8000 --volume fungarium:/var/lib/fungarium fungarium
FROM python:3.12-slim-bookworm AS packages

WORKDIR /build
COPY requirements*.txt ./
RUN python -m venv /opt/fungarium \
 && /opt/fungarium/bin/pip install --no-cache-dir --disable-pip-version-check \
    -r requirements-evaluation.txt -r requirements-postgresql.txt -r requirements-redis.txt
COPY LICENSE README.md pyproject.toml hatch_build.py app.py settings.py ./
COPY fungarium fungarium
COPY retrieval retrieval
COPY database database
COPY indexer indexer
COPY cluster cluster
COPY evaluation evaluation
COPY training training
COPY web web
RUN /opt/fungarium/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps .

FROM python:3.12-slim-bookworm

LABEL org.opencontainers.image.title="Fungarium" \
      org.opencontainers.image.licenses="Apache-2.0"

# pg_dump and pg_restore for `fungarium backup`, in the version of PostgreSQL in compose.yaml.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends postgresql-client \
 && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --home-dir /var/lib/fungarium --create-home fungarium
COPY --from=packages /opt/fungarium /opt/fungarium
WORKDIR /var/lib/fungarium

ENV PATH=/opt/fungarium/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    FUNGARIUM_HOST=0.0.0.0 \
    FUNGARIUM_PORT=8000 \
    FUNGARIUM_DATA=/var/lib/fungarium/data \
    FUNGARIUM_FLORA_INDEXES=/var/lib/fungarium/flora_indexes
RUN python -c "import fungarium, web.application, retrieval.snapshots.snapshot, indexer.building.build, evaluation.learning.learn"

USER 10001
VOLUME /var/lib/fungarium
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['FUNGARIUM_PORT'] + '/healthz', timeout=4)"]
CMD ["fungarium", "serve"]
