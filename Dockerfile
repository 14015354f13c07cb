# One image for the three services; the command chooses which: `python -m producer`, `dispatcher` or `consumers`.
# Targets: `runtime` (the default) has what the service needs, `test` has the tests and their tools as well.
# What changes seldom comes first: a change of code installs nothing again.

FROM python:3.13-slim AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN useradd --uid 1000 --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin app
WORKDIR /app

FROM base AS packages
# For those who install from a mirror: `docker compose build --build-arg PIP_INDEX_URL`, or the variable set. Empty: pip's own.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
COPY requirements.txt constraints.txt ./
RUN python -m venv --without-pip /opt/venv && \
    sed '/^# Tests and checks/,$d' requirements.txt >runtime.txt && \
    pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check -r runtime.txt -c constraints.txt

FROM packages AS test-packages
RUN pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check -r requirements.txt -c constraints.txt

FROM base AS test
COPY --from=test-packages /opt/venv /opt/venv
# Compose mounts the code read-only over /app, where hypothesis would keep its examples.
ENV HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis
COPY --chown=app:app . .
USER app
CMD ["python", "-m", "pytest", "-n", "auto", "-m", "not containers and not chaos"]

FROM base AS runtime
COPY --from=packages /opt/venv /opt/venv
COPY --chown=app:app appsettings.json ./
COPY --chown=app:app shared shared
COPY --chown=app:app cli cli
COPY --chown=app:app examples examples
COPY --chown=app:app producer producer
COPY --chown=app:app dispatcher dispatcher
COPY --chown=app:app consumers consumers
RUN install --directory --owner=app --group=app logs
USER app
# The same for each service: it asks the one that runs in this container whether it is ready.
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-m", "shared.healthcheck"]
CMD ["python", "-m", "producer"]
