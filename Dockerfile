# syntax=docker/dockerfile:1
FROM node:20-bookworm-slim AS frontend
WORKDIR /src/frontend
COPY frontend/package.json frontend/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY frontend/ ./
RUN npm run build

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
COPY --from=frontend /src/frontend/dist frontend/dist
RUN CGO_ENABLED=0 go build -trimpath -ldflags="-s -w" -o /weft ./cmd/weft && mkdir -p /empty/data

# Nothing but the binary and the certificates of authorities, which a JWKS address needs.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /weft /usr/local/bin/weft
COPY --from=build --chown=65532:65532 /empty/data /data
ENV PATH=/usr/local/bin WEFT_DATA_DIR=/data
USER 65532:65532
EXPOSE 8080
VOLUME /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 CMD ["/usr/local/bin/weft", "health"]
ENTRYPOINT ["/usr/local/bin/weft"]
CMD ["serve"]
