# One file, kactus: scripts/build-docker-image.sh builds it outside, for each architecture.
FROM scratch
ARG TARGETARCH
COPY bin/image/${TARGETARCH}/kactus /kactus
ENTRYPOINT ["/kactus"]
