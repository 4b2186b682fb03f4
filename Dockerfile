# The image has one file, kactus, which ./build.sh makes for an architecture:
#   GOARCH=arm64 ./build.sh -o bin/image/arm64/kactus && docker build --platform linux/arm64 .
# scripts/build-docker-image.sh needs no docker, and is what releases are made with.
FROM scratch
ARG TARGETARCH
COPY bin/image/${TARGETARCH}/kactus /kactus
ENTRYPOINT ["/kactus"]
