# A small image of the service, which runs without root. Built from the pinned requirements, without tests and demo.
FROM python:3.13.9-slim-bookworm AS build
WORKDIR /src
COPY requirements.txt pyproject.toml README.md LICENSE ./
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements.txt
COPY service ./service
RUN /venv/bin/pip install --no-cache-dir --no-deps .

FROM python:3.13.9-slim-bookworm
RUN groupadd --system --gid 10001 paywall \
 && useradd --system --uid 10001 --gid paywall --home-dir /var/lib/paywall --create-home paywall \
 && mkdir /etc/paywall && chown paywall:paywall /var/lib/paywall
COPY --from=build /venv /venv
COPY config/paywall.toml /etc/paywall/paywall.toml
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 \
    PAYWALL_CONFIG=/etc/paywall PAYWALL_DATA=/var/lib/paywall PAYWALL_HOST=0.0.0.0
USER paywall
VOLUME /var/lib/paywall
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["paywall"]
CMD ["serve"]
