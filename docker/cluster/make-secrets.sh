#!/bin/sh
# Makes the secrets of docker/compose.cluster.yaml, those that there are not: random, in files that only their owner reaches.
set -eu
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets
cd secrets

# The containers see the files alone, and as other users than their owner.
make() {
  if [ ! -s "$1" ]; then
    printf '%s' "$2" >"$1.new"
    chmod 444 "$1.new"
    mv "$1.new" "$1"
  fi
}
random() {
  od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

make api-key "$(random)"
make ray-token "$(random)"
make postgres-password "$(random)"
make s3-key "$(random)"
make database-url "postgresql+psycopg://convserve:$(cat postgres-password)@postgres:5432/convserve"
make s3-identities "{\"identities\": [{\"name\": \"convserve\", \"credentials\": [{\"accessKey\": \"convserve\", \
\"secretKey\": \"$(cat s3-key)\"}], \"actions\": [\"Admin\", \"Read\", \"Write\", \"List\", \"Tagging\"]}]}"
