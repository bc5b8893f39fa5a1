rapids --stage nobody status
rapids --stage nobody rivers
rapids --stage nobody plan
rapids --stage nobody apply -f stage.yaml
rapids plan
