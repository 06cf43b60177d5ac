#!/usr/bin/env bash
# A kiosk in curl: find an item, hand it in, watch it, fetch its document.
#
#     examples/kiosk.sh out/up.json [WORDS]      out/up.json: the ready line of `tongban up`
set -euo pipefail

ready=$(cat "${1:?the file with the ready line of tongban up}")
words=${2:-社保缴费证明}

# Print one value of the JSON document on stdin: `of items 0 code`.
of() {
  python3 -c '
import json, sys
value = json.load(sys.stdin)
for step in sys.argv[1:]:
    value = value[int(step) if step.isdigit() else step]
print(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))' "$@"
}

intake=$(of intake <<<"$ready")
# The token of an enrolled kiosk; docs/devices-and-keys.md says how a real one gets its own.
authorization="Authorization: Bearer $(of token <<<"$ready")"
# --retry tries again on 408, 429 and 5xx, after as many seconds as Retry-After says.
ask() { curl --silent --show-error --fail --retry 8 --retry-connrefused -H "$authorization" "$@"; }

# 1. Find an item, and take its own example of a form.
code=$(ask --get --data-urlencode "q=$words" --data-urlencode page_size=1 "$intake/v1/catalogue/items" \
  | of items 0 code)
item=$(ask "$intake/v1/catalogue/items/$code")
body=$(printf '{"item_code": "%s", "channel": "self_service", "applicant": %s, "form": %s}' \
  "$code" "$(of example_applicant <<<"$item")" "$(of example_form <<<"$item")")
echo "$(of name <<<"$item") ($code)"

# 2. Hand it in. The key is drawn once for each submission and kept until there is a clear answer:
#    however often the same key and body are sent, it is one request.
key=$(python3 -c 'import uuid; print(uuid.uuid4())')
submit() { ask -H "Idempotency-Key: $key" -H "Content-Type: application/json" --data "$body" "$intake/v1/requests"; }
request=$(submit | of request_id)
[ "$(submit | of request_id)" = "$request" ] # sent twice on purpose
echo "accepted as $request"

# 3. Watch it: server-sent events, history first, until `event: end`.
ask --no-buffer --max-time 120 "$intake/v1/requests/$request/events" | sed -u -n 's/^data: {/  {/p'

# 4. How it stands, and the document that was printed.
state=$(ask "$intake/v1/requests/$request")
echo "$(of status <<<"$state")"
if document=$(of documents 0 document_id <<<"$state" 2>/dev/null); then
  file=$(dirname "$1")/$request.pdf
  ask --output "$file" "$intake/v1/requests/$request/documents/$document"
  echo "document in $file"
fi
