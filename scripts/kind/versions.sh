# shellcheck shell=bash disable=SC2034
# What the local cluster is made of. A change here is a change of all of it; up.sh applies it to a cluster that stands.
KIND_VERSION=v0.33.0
# of the notes of that release: an image belongs to one release of kind
NODE_IMAGE=kindest/node:v1.36.4@sha256:099e049362a1526b2db71494e1947aae99bd16290d7c895f2b7ea312e3cbfaed
KUBECTL_VERSION=v1.36.4
CERT_MANAGER_VERSION=v1.17.0 # what KServe's own installation of this version takes
KSERVE_VERSION=v0.20.0
KFP_VERSION=2.17.0 # the kfp of pyproject.toml

# sha256 of files for which their projects publish none: empty is unchecked, and said. up.sh prints what it downloaded.
CERT_MANAGER_SHA256=
KSERVE_CRDS_SHA256=
KSERVE_SHA256=
KSERVE_RESOURCES_SHA256=
