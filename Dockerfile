# The image has one file, kactus, which scripts/build-docker-image.sh builds for each architecture.
FROM scratch
ARG TARGETARCH
COPY bin/image/${TARGETARCH}/kactus /kactus
ENTRYPOINT ["/kactus"]
