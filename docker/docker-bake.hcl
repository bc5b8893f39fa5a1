# docker buildx bake -f docker/docker-bake.hcl: all images at once, in the folder of the repository. With
# REGISTRY=registry.example.com/ in front of their names they are attested, for which they need a builder of their own
# (`docker buildx create --use`) and --push: not every engine can keep attestations.
variable "REGISTRY" { default = "" }
variable "VERSION" { default = "0.1.0" }
variable "REVISION" { default = "unknown" }
variable "CREATED" { default = "1970-01-01T00:00:00Z" }
variable "SOURCE" { default = "unknown" }

group "default" {
  targets = ["image"]
}

target "image" {
  name       = image
  matrix     = { image = ["rapids", "rapids-reader", "control-plane", "monitor", "archive", "segmentation", "membership", "location", "brand", "offer-engine", "query"] }
  context    = "."
  dockerfile = "docker/Dockerfile"
  target     = image
  tags       = ["${REGISTRY}rapids/${image}:${VERSION}"]
  args       = { VERSION = VERSION, REVISION = REVISION, CREATED = CREATED, SOURCE = SOURCE }
  attest     = [for kind in ["type=provenance,mode=max", "type=sbom"] : kind if REGISTRY != ""]
}
