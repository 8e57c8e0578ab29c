# phased in an image of its own. Build the wheel first: make build
#   docker build -t phased .
# BASE is any image with Python 3.11 or newer and its venv module. PIP_OPTIONS may say where packages come from;
# wheels that lie in dist/ are taken from there, so with --no-index nothing is asked of the network.
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG PIP_OPTIONS=""
COPY dist/*.whl /wheels/
RUN python3 -m venv /usr/local/lib/phased \
 && /usr/local/lib/phased/bin/pip install --no-cache-dir --disable-pip-version-check ${PIP_OPTIONS} \
      --find-links /wheels phased \
 && /usr/local/lib/phased/bin/pip uninstall --yes --quiet pip setuptools

FROM ${BASE}
ARG UID=1000
ARG GID=1000
COPY --from=build /usr/local/lib/phased /usr/local/lib/phased
RUN ln -s /usr/local/lib/phased/bin/phased /usr/local/bin/phased \
 && install -d -m 0700 -o "$UID" -g "$GID" /var/lib/phased /run/phased \
 && install -d -m 0755 -o "$UID" -g "$GID" /workspace
# State in a volume outlives the container; steps run as this user.
ENV PHASED_STATE_DIR=/var/lib/phased PHASED_SOCKET=/run/phased/phased.sock
USER $UID:$GID
WORKDIR /workspace
VOLUME /var/lib/phased
HEALTHCHECK --interval=30s --timeout=20s --start-period=30s CMD ["phased", "status", "--quiet"]
# As process 1 it starts the daemon, reaps, forwards signals, and starts a crashed daemon again. `docker stop` is
# a graceful end within its ten seconds.
ENTRYPOINT ["phased", "serve"]
