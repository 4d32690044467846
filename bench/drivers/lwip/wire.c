/* stub */
#include "driver.h"
struct outcome wire(const char *interface, const char *address, int prefix, enum load load, const char *peer,
                    uint16_t port, size_t size, size_t flows, double seconds) { fail("not yet"); }
