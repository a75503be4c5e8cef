#!/bin/sh
# SPDX-License-Identifier: ISC
# Makes all that test.conf names, as an ordinary user, and serves its zone until Ctrl-C. It needs openssl, ldnsutils and nsd.
#
#     sh test.sh                          # in one terminal
#     sealpost serve -c test.conf         # in another one
#     sealpost send --server localhost:2465 --ca /tmp/sealpost-test/ca.pem --user jada \
#         --password-file /tmp/sealpost-test/password --from jada@test.example --to jada@test.example LETTER
#
# FOLDER and PORT are those of test.conf.
set -eu
if [ "$(id -u)" = 0 ]; then
	echo "test.sh: as an ordinary user, please: what root makes here, the accounts that a server of root's uses may not read" >&2
	exit 1
fi
FOLDER=${FOLDER:-/tmp/sealpost-test} PORT=${PORT:-5353} SEALPOST=${SEALPOST:-sealpost}
umask 077
mkdir -p "$FOLDER/mail"
cd "$FOLDER"

# An authority, and a certificate of it.
new="openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30"
$new -subj "/CN=Authority of the test" -keyout ca.key -out ca.pem
$new -subj /CN=mx1.test.example -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:mx1.test.example,DNS:localhost \
    -CA ca.pem -CAkey ca.key -keyout mx1.key -out mx1.crt

# Users with a password; the postmaster is one of them.
openssl rand -hex 12 > password
for name in admin jada; do
	"$SEALPOST" passwd "$name" < password
done > users

# A zone that is signed; its key is the trust anchor.
cat > zone <<END
\$ORIGIN example.
\$TTL 60
@         SOA ns admin 1 3600 600 86400 60
@         NS  ns
@         TXT "signed"
ns        A   127.0.0.1
test      MX  10 mx1.test
mx1.test  A   127.0.0.1
END
key=$(ldns-keygen -a ECDSAP256SHA256 -k example)
ldns-signzone -f zone.signed zone "$key"
cp "$key.ds" anchor.key
cat > nsd.conf <<END
server:
  ip-address: 127.0.0.1@$PORT
  username: ""
  chroot: ""
  zonesdir: "$FOLDER"
  database: ""
  pidfile: "$FOLDER/nsd.pid"
  zonelistfile: "$FOLDER/nsd.list"
  xfrdfile: "$FOLDER/nsd.xfrd"
  xfrdir: "$FOLDER"
  server-count: 1
remote-control:
  control-enable: no
zone:
  name: example
  zonefile: zone.signed
END
echo "$FOLDER has all of it; the zone is served on 127.0.0.1, port $PORT, until Ctrl-C"
exec "$(command -v nsd || echo /usr/sbin/nsd)" -d -c nsd.conf
