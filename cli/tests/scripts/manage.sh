rapids status
rapids rivers
rapids plan -f stage.yaml
rapids apply -f stage.yaml --dry-run
rapids apply -f stage.yaml
rapids apply -f stage.yaml
rapids rivers
rapids rivers show location
rapids status
rapids plan
rapids rivers route location direct
rapids rivers show location
rapids rivers route nobody sns
rapids rivers show nobody
rapids apply -f wrong.yaml
rapids apply -f missing.yaml
rapids apply -f breaking.yaml
rapids apply -f smaller.yaml --prune
rapids rivers remove location --discard
rapids rivers remove audit --discard
rapids rivers
