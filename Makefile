# whendo: one Makefile, everything it makes is under build/.
#
#   make            library (static and shared) and program
#   make check      every test            make check SANITIZE=address,undefined
#   make ENGINE=uv  processes over uv_spawn, as on systems that are not Linux
#   make bench      measurements beside the peers that are installed
#   make fuzz       every fuzz target for FUZZ_SECONDS=30 each (clang)
#   make install    PREFIX=/usr/local DESTDIR=   WATCHMEDO=1 adds the name watchmedo
#   make V=1        shows the commands as they are run
#   make deps       installs the packages that the targets after it need (Debian, Ubuntu)

PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR     ?= $(PREFIX)/share/man
COMPLETIONS := bash-completion/completions zsh/site-functions fish/vendor_completions.d
CFLAGS     ?= -O2 -g
SANITIZE   ?=
FUZZ_SECONDS ?= 30
B          := build$(if $(SANITIZE),/sanitize)
SOVERSION  := 0
VERSION    := $(shell awk '/define WHENDO_VERSION_(MAJOR|MINOR|PATCH)/ { v = v s $$3; s = "." } END { print v }' include/whendo/version.h)

PKGS       := libuv libpcre2-8
PKGS_CLI   := yaml-0.1
DEPS_BUILD := gcc make pkg-config libc6-dev libuv1-dev libpcre2-dev libyaml-dev
DEPS_CHECK := libcmocka-dev mandoc git strace procps util-linux python3 valgrind clang g++ zsh fish \
	btrfs-progs xfsprogs
PKG_NEEDS  := libuv:libuv1-dev libpcre2-8:libpcre2-dev yaml-0.1:libyaml-dev

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition \
        -Wpointer-arith -Wwrite-strings -Wundef -Wformat=2 -Wvla
SAN  := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer)
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) $(PKGS_CLI) 2>/dev/null)
LIBS      = $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lpthread
LIBS_CLI  = $(shell pkg-config --libs $(PKGS_CLI) 2>/dev/null)
ALL_CPPFLAGS = -Iinclude -I. -D_GNU_SOURCE -DWHENDO_BUILDING $(if $(filter uv,$(ENGINE)),-DWHENDO_ENGINE_UV) \
                $(PKG_CFLAGS) $(CPPFLAGS)
ALL_CFLAGS   := -std=gnu11 $(WARN) -fvisibility=hidden -fPIC $(CFLAGS) $(SAN)
ALL_LDFLAGS  := $(LDFLAGS) $(SAN)

# For other systems and processors: CC and AR of theirs, in the environment (make before 4.4 shows
# pkg-config nothing else) PKG_CONFIG_LIBDIR, B=build/NAME, so that builds do not disturb each other,
# and what is wanted, as in
#	PKG_CONFIG_LIBDIR=... make CC=x86_64-w64-mingw32-gcc AR=x86_64-w64-mingw32-ar B=build/win build/win/libwhendo.a
# Which system that is, the compiler says. For Windows there is the watcher without commands, and
# build/win/tests/windows/watch, which needs cmocka and LDFLAGS=-static, and runs under Wine. Static
# PCRE2 needs CPPFLAGS=-DPCRE2_STATIC there.
comma   := ,
TARGET  := $(shell $(CC) -dumpmachine 2>/dev/null)
WINDOWS := $(findstring mingw,$(TARGET))
MACOS   := $(findstring darwin,$(TARGET))$(findstring macos,$(TARGET))
SONAME  := $(if $(MACOS),libwhendo.$(SOVERSION).dylib,libwhendo.so.$(SOVERSION))
SOLINK  := $(if $(MACOS),libwhendo.dylib,libwhendo.so)
SOFLAGS := $(if $(MACOS),-dynamiclib -install_name $(LIBDIR)/$(SONAME),-shared -Wl$(comma)-soname$(comma)$(SONAME))
ifneq ($(WINDOWS),)
PKGS_CLI  :=
PKG_NEEDS := $(filter-out yaml-0.1:%,$(PKG_NEEDS))
ALL_CPPFLAGS += -Iwatcher/windows/include -include watcher/windows/posix.h -D__USE_MINGW_ANSI_STDIO=1
ALL_CFLAGS   += -Wno-format
endif

LIB_SRC  := $(wildcard watcher/*.c $(if $(WINDOWS),watcher/windows/*.c,shellcmd/*.c))
CLI_SRC  := $(wildcard cli/*.c)
TEST_SRC := $(wildcard $(if $(WINDOWS),tests/windows/*.c,tests/test_*.c))
FIX_SRC  := $(if $(WINDOWS),,$(filter-out $(TEST_SRC),$(wildcard tests/*.c)))
BENCH_SRC := $(wildcard tests/bench/*.c)
FUZZ_SRC := $(wildcard tests/fuzz/*.c)
EXAMPLE_SRC := $(wildcard tests/examples/*.c)
PROG_SRC := $(wildcard tests/programs/*.c)
LIB_OBJ  := $(LIB_SRC:%.c=$B/%.o)
CLI_OBJ  := $(CLI_SRC:%.c=$B/%.o)
FIX_OBJ  := $(FIX_SRC:%.c=$B/%.o)
TESTS    := $(TEST_SRC:tests/%.c=$B/tests/%)
BENCHES  := $(BENCH_SRC:tests/bench/%.c=$B/bench/%)
FUZZERS  := $(FUZZ_SRC:tests/fuzz/%.c=build/fuzz/%)
EXAMPLES := $(EXAMPLE_SRC:tests/examples/%.c=$B/examples/%)
PROGRAMS := $(PROG_SRC:tests/programs/%.c=$B/programs/%)
STATIC   := $B/libwhendo.a
SHARED   := $(if $(WINDOWS),,$B/$(SONAME))
PROGRAM  := $(if $(WINDOWS),,$B/whendo)

# A line for each file; the whole command with V=1.
Q   := $(if $(V),,@)
say  = $(if $(V),,@echo '  $1  $(patsubst $(CURDIR)/%,%,$@)')

.PHONY: all check bench fuzz install uninstall deps run clean FORCE
.DELETE_ON_ERROR:
all: $(PROGRAM) $(STATIC) $(SHARED) $B/whendo.pc

# Objects are made again when the compiler or its flags change.
$B/flags: FORCE $(filter deps,$(MAKECMDGOALS))
	@mkdir -p $B; $(NEEDS_CHECK)
	@echo '$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS)' | cmp -s - $@ || \
	 echo '$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS)' > $@

# A missing package is one line that names it and the command that installs it.
NEEDS_CHECK = for p in $(PKG_NEEDS); do pkg-config --exists $${p%%:*} 2>/dev/null || \
	{ command -v pkg-config >/dev/null || p=pkg-config:pkg-config; \
	echo "whendo: $${p\#\#*:} is missing; install it with: apt-get install $${p\#\#*:}  (or: make deps)" >&2; exit 1; }; done

$B/%.o: %.c $B/flags
	@mkdir -p $(@D)
	$(call say,CC  )
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(STATIC): $(LIB_OBJ)
	$(call say,AR  )
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(SHARED): $(LIB_OBJ)
	$(call say,LINK)
	$(Q)$(CC) $(SOFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)
	$(Q)ln -sf $(SONAME) $B/$(SOLINK)

$B/whendo: $(CLI_OBJ) $(STATIC)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS_CLI) $(LIBS)

# Made again each time: the directories in it may be others than in the last call.
$B/whendo.pc: FORCE $B/flags
	@printf 'prefix=%s\nlibdir=%s\nincludedir=%s\n\nName: whendo\nDescription: watch files, run commands\nVersion: %s\nRequires.private: %s\nLibs: -L$${libdir} -lwhendo\nLibs.private: -lpthread\nCflags: -I$${includedir}\n' \
	 '$(PREFIX)' '$(LIBDIR)' '$(INCLUDEDIR)' '$(VERSION)' '$(PKGS)' > $@

# Tests of the program's modules are linked with all of it but main.
$(filter $B/tests/test_cli_%,$(TESTS)): $(filter-out %/main.o,$(CLI_OBJ))

$(TESTS): $B/tests/%: $B/tests/%.o $(FIX_OBJ) $(STATIC)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(if $(filter test_cli_%,$*),$(LIBS_CLI)) $$(sed -n 's,^ \* link: ,,p' tests/$*.c) -lcmocka $(LIBS)

$(BENCHES): $B/bench/%: $B/tests/bench/%.o $(STATIC)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $$(sed -n 's,^ \* link: ,,p' tests/bench/$*.c) $(LIBS)

$(EXAMPLES): $B/examples/%: $B/tests/examples/%.o $(STATIC)
	@mkdir -p $(@D)
	$(call say,LINK)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# Small programs that tests start; without sanitizers, so that they may be killed at will.
$(PROGRAMS): $B/programs/%: tests/programs/%.c $B/flags
	@mkdir -p $(@D)
	$(call say,CC  )
	$(Q)$(CC) -D_GNU_SOURCE -O2 -o $@ $< $$(sed -n 's,^ \* link: ,,p' $<)

check: all $(TESTS) $(EXAMPLES) $(PROGRAMS)
	BUILD=$B CC='$(CC)' SANITIZE='$(SANITIZE)' ENGINE='$(ENGINE)' sh tests/run.sh $(T)

bench: all $(BENCHES) $(PROGRAMS)
	BUILD=$B sh tests/bench/run.sh

# fuzz_rules is linked with all of the program but main.
build/fuzz/fuzz_rules: FUZZ_MORE = $(filter-out %/main.c,$(CLI_SRC)) $(LIBS_CLI)
$(FUZZERS): build/fuzz/%: tests/fuzz/%.c $(LIB_SRC) $(CLI_SRC) $B/flags
	@mkdir -p $(@D)
	$(call say,FUZZ)
	$(Q)clang $(ALL_CPPFLAGS) -std=gnu11 $(WARN) -g -O1 -fsanitize=fuzzer,address,undefined \
	 -fno-sanitize-recover=all -o $@ $< $(LIB_SRC) $(FUZZ_MORE) $(LIBS)

# What was found before is kept in build/fuzz/corpus.*, failures beside it.
fuzz: $(FUZZERS)
	@for f in $^; do c=build/fuzz/corpus.$${f##*/}; mkdir -p $$c; \
	 $$f -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 -artifact_prefix=build/fuzz/ $$c || exit 1; done

install: all
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)/whendo \
	 $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man3 $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man7
	install -m 755 $(PROGRAM) $(DESTDIR)$(BINDIR)/
	install -m 644 $(STATIC) $(DESTDIR)$(LIBDIR)/
	install -m 755 $(SHARED) $(DESTDIR)$(LIBDIR)/
	ln -sf $(SONAME) $(DESTDIR)$(LIBDIR)/$(SOLINK)
	install -m 644 $B/whendo.pc $(DESTDIR)$(LIBDIR)/pkgconfig/
	install -m 644 include/whendo/*.h $(DESTDIR)$(INCLUDEDIR)/whendo/
	for m in man/*.[1-8]; do install -m 644 $$m $(DESTDIR)$(MANDIR)/man$${m##*.}/ || exit 1; done
	install -d $(COMPLETIONS:%=$(DESTDIR)$(PREFIX)/share/%)
	$B/whendo completions bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/whendo
	$B/whendo completions zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_whendo
	$B/whendo completions fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/whendo.fish
	$(if $(WATCHMEDO),ln -sf whendo $(DESTDIR)$(BINDIR)/watchmedo)

uninstall:
	[ "$$(readlink $(DESTDIR)$(BINDIR)/watchmedo)" != whendo ] || rm -f $(DESTDIR)$(BINDIR)/watchmedo
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/whendo $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_whendo \
	 $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/whendo.fish
	rm -f $(DESTDIR)$(BINDIR)/whendo $(DESTDIR)$(LIBDIR)/libwhendo.a $(DESTDIR)$(LIBDIR)/$(SONAME) $(DESTDIR)$(LIBDIR)/$(SOLINK) \
	 $(DESTDIR)$(LIBDIR)/pkgconfig/whendo.pc $(addprefix $(DESTDIR)$(INCLUDEDIR)/whendo/,$(notdir $(wildcard include/whendo/*.h)))
	for m in man/*.[1-8]; do rm -f $(DESTDIR)$(MANDIR)/man$${m##*.}/$${m#man/}; done

# `make deps run` installs what the build needs, `make deps check` what the tests need too.
deps:
	@command -v apt-get >/dev/null || { echo "whendo: make deps knows apt-get only; install these by hand: $(DEPS_BUILD) $(if $(filter check,$(MAKECMDGOALS)),$(DEPS_CHECK))" >&2; exit 1; }
	@want='$(DEPS_BUILD) $(if $(filter check,$(MAKECMDGOALS)),$(DEPS_CHECK))'; \
	 miss=$$(for p in $$want; do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	 [ -z "$$miss" ] && exit 0; echo "installing:" $$miss; s=; [ "$$(id -u)" = 0 ] || s=sudo; \
	 $$s apt-get update -qq && $$s env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$miss >/dev/null

# The main job: print what happens in DIR until ^C.
DIR ?= .
run: all
	$(Q)$B/whendo log --print-ready -- $(DIR) || [ $$? -eq 130 ]

clean:
	rm -rf build

-include $(shell find $B -name '*.d' 2>/dev/null)
