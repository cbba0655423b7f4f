# A small image of the service, which runs without root. Built from the pinned requirements, without tests and demo.
#
# The digest names one image for good; the tag before it is for people. To take a newer one, look up its digest:
#   docker buildx imagetools inspect python:3.13.15-slim-trixie
#   docker build --build-arg PYTHON_IMAGE=python:3.13.15-slim-trixie@sha256:… .
ARG PYTHON_IMAGE=python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
# requirements-traces.txt adds OpenTelemetry.
ARG REQUIREMENTS=requirements.txt
COPY requirements.txt requirements-traces.txt requirements-build.txt ./
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r ${REQUIREMENTS} \
 && python -m venv /builder && /builder/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY service ./service
# Without isolation, pip builds with the pinned setuptools. With it, pip would fetch one without a hash.
RUN /builder/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /dist . \
 && /venv/bin/pip install --no-cache-dir --no-deps --no-index /dist/*.whl

FROM ${PYTHON_IMAGE}
RUN groupadd --system --gid 10001 paywall \
 && useradd --system --uid 10001 --gid paywall --home-dir /var/lib/paywall --create-home paywall \
 && mkdir /etc/paywall && chown paywall:paywall /var/lib/paywall && chmod 700 /var/lib/paywall
COPY --from=build /venv /venv
COPY config/paywall.toml /etc/paywall/paywall.toml
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 \
    PAYWALL_CONFIG=/etc/paywall PAYWALL_DATA=/var/lib/paywall PAYWALL_HOST=0.0.0.0
USER 10001:10001
VOLUME /var/lib/paywall
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["paywall"]
CMD ["serve"]
