# syntax=docker/dockerfile:1
# The image that stands in for apache/kafka, confluentinc/cp-kafka, bitnami/kafka and debezium/kafka:
#     docker build -f compose/compat.Dockerfile -t milena-kafka .
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked -p milena && cp target/release/milena /milena && \
    compose/rootfs /root.fs /milena

FROM scratch
COPY --from=build /root.fs/ /
ENV PATH=/opt/kafka/bin:/usr/local/bin:/usr/bin:/bin
WORKDIR /opt/kafka
USER appuser
EXPOSE 9092
STOPSIGNAL SIGTERM
# Neither an entry point nor a health check, as the images that it stands in for: test libraries replace the command, and one
# of them waits differently where there is a health check.
CMD ["/etc/kafka/docker/run"]
