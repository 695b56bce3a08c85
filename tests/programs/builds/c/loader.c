//go:build ignore

#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv) {
	void *lib = dlopen(argv[1], RTLD_NOW);
	if (!lib) { puts(dlerror()); return 1; }
	void (*run)(int) = dlsym(lib, "RunDepot");
	if (!run) { puts("no RunDepot"); return 1; }
	puts("loaded");
	fflush(stdout);
	if (argc > 2) sleep(5);
	for (int i = 0; i < 600; i++) { run(1); usleep(100000); }
	return 0;
}
