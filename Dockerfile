# For those who have Docker. `make image` makes the same without it, from pinned ingredients.
FROM node:24.21.0-bookworm-slim AS bundles
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN node build/bundle.ts /app

FROM golang:1.26-bookworm AS programs
ARG TARGETARCH
WORKDIR /src
COPY store/distribution/ ./
RUN CGO_ENABLED=0 GOOS=linux GOARCH=$TARGETARCH \
    go build -trimpath -mod=readonly -ldflags '-s -w' -o /programs/registry github.com/distribution/distribution/v3/cmd/registry
WORKDIR /src/steer-port
COPY proxy/takeover/steer-port/ ./
RUN CGO_ENABLED=0 GOOS=linux GOARCH=$TARGETARCH go build -trimpath -ldflags '-s -w' -o /programs/steer-port .

FROM node:24.21.0-bookworm-slim
COPY --from=programs /programs/ /usr/local/bin/
COPY --from=bundles /app /app
WORKDIR /app
ENV NODE_ENV=production
USER 65532:65532
ENTRYPOINT ["node"]
