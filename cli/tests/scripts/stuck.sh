rapids dlq list
rapids dlq show offer-engine
rapids dlq show nobody
rapids send OfferProposed brand {"bad":1}
until "messages":1: rapids dlq list offer-engine --json
rapids dlq show offer-engine
rapids dlq show offer-engine --reason not_json
rapids dlq redrive offer-engine --dry-run
rapids dlq redrive offer-engine --type Other
rapids dlq redrive offer-engine
until "messages":1: rapids dlq list offer-engine --json
rapids dlq purge offer-engine
rapids dlq purge offer-engine --yes
rapids dlq show offer-engine
