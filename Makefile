# SPDX-License-Identifier: ISC
# The newcomer's door. meson and ninja do the work; see docs/ARCHITECTURE.md.

.PHONY: run build test coverage crash fuzz idle shaping inject powercut testssl timing soak install bench growth backlog profile clean help

help:
	@echo "make run      install what is missing, build, send a sealed letter through the whole server"
	@echo "make test     install what is missing, build with sanitizers, run every test (TESTS=\"--suite unit\")"
	@echo "make build    build/sealpost, optimised and hardened"
	@echo "make install  DESTDIR= PREFIX=/usr/local"
	@echo "make coverage which lines of the parsers the tests run"
	@echo "make crash    cut the power at every operation of the store, try every state (CRASH_SEEDS=4)"
	@echo "make fuzz     run every fuzz target for FUZZ_SECONDS (60) each"
	@echo "make idle     ten thousand idle TLS connections: what they cost, what others notice (IDLE_CONNECTIONS=10000)"
	@echo "make shaping  half of a thousand destinations never answer: at what rate the others get their letters (root; DEAD_HOSTS_LETTERS=20)"
	@echo "make inject   kill and fail every process at each of its system calls (an hour; INJECT=\"--role spool --seconds 600\"; test/inject/README.md)"
	@echo "make powercut cut the power of a real server on ext4, xfs and btrfs (root; POWERCUT=\"--file-systems ext4 --cuts 20\"; test/powercut/README.md)"
	@echo "make soak     half an hour of mixed load with roles killed: all accounted for, memory steady (root; SOAK=\"--minutes 30 --seed N\"; test/soak/README.md)"
	@echo "make testssl  testssl.sh against every port of a running server (see docs/SECURITY.md)"
	@echo "make bench    beside Postfix and others: how fast, at what cost (root; BENCH=\"--short\"; bench/README.md)"
	@echo "make growth   what a message costs by fronts, size, recipients and connections (root; GROWTH=\"--short\"; bench/README.md)"
	@echo "make backlog  a queue in which a million wait beside an empty one (root, minutes; BACKLOG=\"--recipients 20000 --queues empty,single\"; bench/README.md)"
	@echo "make profile  where a message's time goes, by role, library, system call and function (root; PROFILE=\"--row accept --steps\"; docs/PERFORMANCE.md)"
	@echo "make timing   do refused logins tell which users there are? (minutes; TIMING=\"--users 300\"; test/timing/README.md)"

run: build
	build/sealpost try

build:
	dev/setup build
	@test -f build/build.ninja || meson setup build --prefix=$(PREFIX) -Dtests=false
	ninja -C build

# gcc with AddressSanitizer and UndefinedBehaviorSanitizer runs the tests; clang compiles as a second opinion. Warnings are
# errors here, and only here: a newer compiler's new warning shall not keep anybody from building.
test:
	dev/setup build test unpack
	@test -f build-test/build.ninja || CC="ccache gcc" meson setup build-test --werror -Db_sanitize=address,undefined -Doptimization=1
	@test -f build-clang/build.ninja || CC="ccache clang" meson setup build-clang --werror -Doptimization=1
	ninja -C build-test
	ninja -C build-clang sealpost test/scenario/deeds
	meson test -C build-test --print-errorlogs $(TESTS)

# POWERCUT="--file-systems ext4 --cuts 20" for a part. In a mount namespace of its own: nothing stays mounted whatever happens; in a
# network of its own: nobody takes a port between two lives of a server.
powercut:
	dev/setup build powercut
	@test -f build-powercut/build.ninja || meson setup build-powercut -Dtests=false -Dpowercut=true
	ninja -C build-powercut
	PYTHONPATH=test/scenario PYTHONDONTWRITEBYTECODE=1 unshare --mount --net sh -c 'ip link set lo up && exec "$$@"' sh \
		python3 test/powercut/powercut.py --programs build-powercut/test/powercut --program build-powercut/sealpost --page docs/QUEUE.md $(POWERCUT)

# SOAK="--minutes 30 --seed N"
SOAK ?=
soak: build
	PYTHONPATH=test/soak:test/scenario PYTHONDONTWRITEBYTECODE=1 python3 test/soak/soak.py --program build/sealpost $(SOAK)

testssl: build
	dev/setup testssl
	PYTHONPATH=test/scenario PYTHONDONTWRITEBYTECODE=1 python3 test/testssl/testssl.py --program build/sealpost

PREFIX ?= /usr/local
install: build
	@meson configure build -Dprefix=$(abspath $(PREFIX))
	ninja -C build
	meson install -C build --no-rebuild $(if $(DESTDIR),--destdir $(abspath $(DESTDIR)))

clean:
	rm -rf build build-test build-clang build-crash build-fuzz build-coverage build-powercut build-backlog build-profile

# Every state after a power cut at every operation, and every failure of the disk; test/sim/README.md says more. No sanitizers: make
# test runs a part with them.
CRASH_SEEDS ?= 4
crash:
	dev/setup build test
	@test -f build-crash/build.ninja || meson setup build-crash
	ninja -C build-crash test/sim/crash test/sim/sim
	build-crash/test/sim/crash --seeds 1 $(CRASH_SEEDS) --steps 40 --bits 8 --draws 24
	build-crash/test/sim/crash --seeds 1 $(CRASH_SEEDS) --steps 40 --fail every 1
	build-crash/test/sim/sim --seed 1 --sweep power --every 1
	build-crash/test/sim/sim --seed 1 --sweep kill --every 1
	build-crash/test/sim/sim --seed 1 --sweep fail --every 1

FUZZ_SECONDS ?= 60
fuzz:
	dev/setup build test
	@test -f build-fuzz/build.ninja || CC="ccache clang" meson setup build-fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false -Doptimization=2
	ninja -C build-fuzz
	dev/fuzz build-fuzz $(FUZZ_SECONDS)

IDLE_CONNECTIONS ?= 10000
idle:
	dev/setup build test
	@test -f build-clang/build.ninja || CC="ccache clang" meson setup build-clang --werror -Doptimization=1
	ninja -C build-clang sealpost
	ulimit -n $$(ulimit -Hn); SEALPOST=build-clang/sealpost MEASURED=build-clang/sealpost IDLE_CONNECTIONS=$(IDLE_CONNECTIONS) PYTHONPATH=test/scenario python3 test/scenario/idle_test.py

# DEAD_HOSTS_LETTERS (20) to each of DEAD_HOSTS_DESTINATIONS (1000).
DEAD_HOSTS_LETTERS ?= 20
shaping:
	dev/setup build test
	@test -f build-clang/build.ninja || CC="ccache clang" meson setup build-clang --werror -Doptimization=1
	ninja -C build-clang sealpost
	SEALPOST=build-clang/sealpost DEAD_HOSTS_FULL=1 DEAD_HOSTS_LETTERS=$(DEAD_HOSTS_LETTERS) SCENARIO_PATIENCE_S=600 PYTHONPATH=test/scenario \
		PYTHONDONTWRITEBYTECODE=1 python3 test/scenario/dead_hosts_test.py

coverage:
	dev/setup build test coverage
	@test -f build-coverage/build.ninja || CC="ccache gcc" meson setup build-coverage -Db_coverage=true -Doptimization=0
	ninja -C build-coverage
	meson test -C build-coverage --no-suite scenario --no-suite house
	dev/coverage build-coverage

# TIMING: options, as --users 300, --verifier bcrypt
TIMING ?=
timing:
	dev/setup build test
	@test -f build-clang/build.ninja || CC="ccache clang" meson setup build-clang --werror -Doptimization=1
	ninja -C build-clang sealpost
	SEALPOST=build-clang/sealpost PYTHONPATH=test/timing:test/scenario PYTHONDONTWRITEBYTECODE=1 python3 test/timing/login_timing.py $(TIMING)

# INJECT: options, as --role spool, --kind KILL, --seconds 600, --point spool.fdatasync.3.EIO.first. Broken off, it goes on where it was.
INJECT ?=
inject: build
	dev/setup build test unpack
	@test -f build-test/build.ninja || CC="ccache gcc" meson setup build-test --werror -Db_sanitize=address,undefined -Doptimization=1
	ninja -C build-test sealpost test/inject/short
	SEALPOST=$${SEALPOST:-build/sealpost} SHORT=build-test/test/inject/short PYTHONPATH=test/inject:test/scenario PYTHONDONTWRITEBYTECODE=1 \
		nice -n 5 python3 test/inject/inject.py --record build/inject --page docs/QUEUE.md $(INJECT)

# BENCH: options, as --short, --rows accept, --peers postfix,exim. In a mount namespace of its own, where the servers' accounts are made.
BENCH ?=
bench: build
	dev/setup bench
	PYTHONPATH=bench:test/scenario PYTHONDONTWRITEBYTECODE=1 unshare --mount sh -c 'exec "$$@"' sh python3 bench/bench.py $(BENCH)

# GROWTH: options, as --short, --axes sizes,connections
GROWTH ?=
growth: build
	dev/setup bench
	PYTHONPATH=bench:test/scenario PYTHONDONTWRITEBYTECODE=1 unshare --mount sh -c 'exec "$$@"' sh python3 bench/growth.py $(GROWTH)

# BACKLOG: options, as --recipients 20000, --queues empty,single. The queue is made by a program that is built with the tests.
BACKLOG ?=
backlog: build
	dev/setup bench test
	@test -f build-backlog/build.ninja || meson setup build-backlog
	ninja -C build-backlog bench/backlog
	PYTHONPATH=bench:test/scenario PYTHONDONTWRITEBYTECODE=1 unshare --mount sh -c 'exec "$$@"' sh python3 bench/backlog.py $(BACKLOG)

# PROFILE: options, as --row accept, --folded FILE. The build is that of `make build` but for frame pointers, by which perf walks stacks.
PROFILE ?=
profile:
	dev/setup build bench profile
	@test -f build-profile/build.ninja || meson setup build-profile -Dtests=false -Dc_args=-fno-omit-frame-pointer
	ninja -C build-profile
	PYTHONPATH=bench:test/scenario PYTHONDONTWRITEBYTECODE=1 unshare --mount sh -c 'exec "$$@"' sh python3 bench/cost.py $(PROFILE)
