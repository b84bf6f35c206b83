/* A PKCS#11 module that does what another does, and lies in one thing, for tests of the self-test: the last octet of what LIE names is
 * another, or a key that was to stay is extractable.
 *
 * SKERRY_RELAY_MODULE names the real module. */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long UL;
typedef UL (*Fn)(UL, UL, UL, UL, UL, UL, UL, UL);
typedef struct { unsigned char major, minor; Fn f[68]; } List;
typedef struct { UL type; void *value; UL len; } Attribute;
enum { ENCRYPT = 30, DECRYPT = 34, SIGN = 43, WRAPKEY = 60, UNWRAPKEY = 61, EXTRACTABLE = 0x162 };
#ifndef LIE
#define LIE SIGN
#endif

static List own, *real;

/* Octets and their number are the fourth and fifth argument, or of wrapping the fifth and sixth. */
static UL lies(UL a, UL b, UL c, UL d, UL e, UL f, UL g, UL h) {
    unsigned char *out = (unsigned char *)(LIE == WRAPKEY ? e : d);
    UL *len = (UL *)(LIE == WRAPKEY ? f : e);
    if (LIE == UNWRAPKEY) {
        Attribute all[32];
        static unsigned char yes = 1;
        UL count = g > 32 ? 32 : g;
        memcpy(all, (void *)f, count * sizeof *all);
        for (UL i = 0; i < count; i++)
            if (all[i].type == EXTRACTABLE) all[i].value = &yes;
        return real->f[LIE](a, b, c, d, e, (UL)all, count, h);
    }
    UL rv = real->f[LIE](a, b, c, d, e, f, g, h);
    if (rv == 0 && out && len && *len) out[*len - 1] ^= 1;
    return rv;
}

UL C_GetFunctionList(List **list) {
    void *module = dlopen(getenv("SKERRY_RELAY_MODULE"), RTLD_NOW);
    UL (*get)(List **) = module ? (UL (*)(List **))dlsym(module, "C_GetFunctionList") : NULL;
    if (!get || get(&real)) return 5;
    own = *real;
    own.f[LIE] = lies;
    *list = &own;
    return 0;
}
