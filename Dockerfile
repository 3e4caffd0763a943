# The worker and the command line. Python packages come from the lock, each checked against its hash.
FROM python:3.11.13-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /opt/notifications \
 && /opt/notifications/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md bootstrap.py temporal_config.py ./
COPY config ./config
COPY modules ./modules
# setuptools stands in the lock, so nothing unpinned is downloaded to build the package.
RUN /opt/notifications/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.11.13-slim-bookworm
RUN groupadd --gid 1000 notifications \
 && useradd --uid 1000 --gid notifications --no-create-home --shell /usr/sbin/nologin notifications
COPY --from=build /opt/notifications /opt/notifications
ENV PATH=/opt/notifications/bin:$PATH \
    APP_ENV=production \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /var/lib/notifications
USER notifications
# SIGTERM drains: give the container longer than worker.graceful_shutdown_seconds before it is killed.
STOPSIGNAL SIGTERM
ENTRYPOINT ["notifications"]
CMD ["worker", "--processes", "1"]
