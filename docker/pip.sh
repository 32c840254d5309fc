#!/bin/sh
# pip inside the build: into /opt/longtail, with the secrets, indexes and wheels that the build was given.
#   pip.sh install|wheel ARGUMENTS…    pip's own arguments
#   pip.sh libraries FILE              what FILE requires, in the versions of constraints.txt, without what nobody runs: test suites,
#                                      headers, Arrow's Flight, and the descriptions of AWS services that are not asked
#   pip.sh torch [+cpu]                the version of torch in constraints.txt, from TORCH_INDEX_URL where that is given
set -eu
if [ -s /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi
if [ -s /run/secrets/pip ]; then export PIP_CONFIG_FILE=/run/secrets/pip; fi
if [ -d /wheels ]; then export PIP_FIND_LINKS=/wheels; fi
pip() { /opt/pip/bin/pip --python /opt/longtail/bin/python3 "$@"; }

libraries() {
    pip install -c constraints.txt -r "$1"
    for library in numpy scipy pandas pyarrow; do  # a sixth of the predict image
        find /opt/longtail/lib/python3*/site-packages/$library -type d -name tests -prune -exec rm -r {} +
        find /opt/longtail/lib/python3*/site-packages/$library \
            \( -name '*.h' -o -name '*.hpp' -o -name '*.pxd' -o -name '*.pyx' -o -name '*.pxi' -o -name '*.cc' -o -name '*.a' \) -delete
    done
    find /opt/longtail/lib/python3*/site-packages/pyarrow -name '*_flight*.so*' -delete  # nothing else is linked to it
    # what signs in and reads buckets stays
    find /opt/longtail/lib/python3*/site-packages/botocore/data -mindepth 1 -maxdepth 1 -type d \
        ! -name s3 ! -name sts ! -name sso ! -name sso-oidc ! -name signin -exec rm -r {} +
}

torch() {
    torch=$(grep '^torch==' constraints.txt)${1:-}
    pip install --no-deps ${TORCH_INDEX_URL:+--index-url "$TORCH_INDEX_URL"} "$torch" || {
        echo "error: pip finds no $torch; give TORCH_INDEX_URL (an index that has it) or WHEELS (a folder with its wheel)" >&2
        exit 1
    }
}

case $1 in
    libraries | torch) "$@" ;;
    *) pip "$@" ;;
esac
