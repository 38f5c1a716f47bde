# The short names of what people do here.  CMake builds; this file only saves typing.
.POSIX:
.PHONY: help demo build check bench format install clean

PREFIX = /usr/local

help:
	@echo 'make demo      install what is missing, build, show the invoice showcase and serve it'
	@echo 'make check     install what is missing, build, run every test'
	@echo 'make build     install what is missing, build into build/'
	@echo 'make bench     build, measure'
	@echo 'make format    format the sources'
	@echo 'make install   build, install below PREFIX ($(PREFIX))'
	@echo 'make clean     remove everything that was built'

demo:
	@tools/install-packages demo
	@tools/build showcase showcase-first-year
	@samples/event-sourcing/demo/tour.sh build

build:
	@tools/install-packages build
	@tools/build
	@echo 'Built: build/showcase, build/kumiko, build/libkumiko.so'

check:
	@tools/install-packages check
	@tools/check

bench:
	@tools/install-packages build
	@tools/build showcase kumiko-bench
	@build/bench/kumiko-bench

format:
	@tools/check-format --fix

install:
	@tools/install-packages build
	@cmake --preset release -DCMAKE_INSTALL_PREFIX='$(PREFIX)' >/dev/null
	@cmake --build --preset release
	@cmake --install build-release
	@if [ "$$(id -u)" = 0 ] && [ -z "$(DESTDIR)" ]; then ldconfig; fi

clean:
	rm -rf build build-release build-clang build-asan build-tsan
