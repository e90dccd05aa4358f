/* leaks.c - part of every program that is built with the address sanitizer: leaks are looked for when
 * MPI_Finalize begins. Then Open MPI still holds what is its own; after it nobody can tell its leaks
 * from ours. Modules stay loaded, so that what they lose bears their name and leaks.supp can tell.
 * A leak ends the program with code 23. */
#include <dlfcn.h>
#include <mpi.h>
#include <sanitizer/lsan_interface.h>
#include <stdio.h>
#include <unistd.h>

int dlclose(void *module)
{
    (void)module;
    return 0;
}

int MPI_Finalize(void)
{
    int lost = __lsan_do_recoverable_leak_check(), err;

    err = PMPI_Finalize();
    if (!lost) return err;
    fflush(NULL);
    _exit(23);
}
