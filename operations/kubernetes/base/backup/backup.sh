# A copy of each schema, as docs/backup.md makes it: what others refer to is copied last. A folder gets its name when all
# is in it. Content of files is in the bucket, which is copied with its own means.
set -eu
PGPASSWORD="$(cat "$PASSWORD_FILE")"
export PGPASSWORD
now="$(date -u +%Y-%m-%dT%H%M%SZ)"
rm -rf "$BACKUPS"/*.part
mkdir -p "$BACKUPS/$now.part"
for schema in messages rooms users files; do
  pg_dump --dbname="$DATABASE_URL" --format=custom --schema="$schema" --file="$BACKUPS/$now.part/$schema.dump"
done
mv "$BACKUPS/$now.part" "$BACKUPS/$now"
# Only once there is a new one.
find "$BACKUPS" -mindepth 1 -maxdepth 1 -name '*Z' -mtime "+$KEPT_DAYS" -exec rm -rf {} +
