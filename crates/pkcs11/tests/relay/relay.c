/* A PKCS#11 module in a process of its own, for tests: what is in the module's memory is not in the caller's.
 *
 * Two programs of one source. The module (-shared) starts the server (-DSERVER) at C_Initialize. Both map one piece of memory at
 * one address; a call's arguments are copied there, so that pointers to them mean the same in both, and the server calls the real
 * module with them. One octet through a socket says that a call is there, one that it is done. p11-kit's relay would do, but that of
 * Debian 12 knows none of the AES mechanisms that wrap keys.
 *
 * SKERRY_RELAY_SERVER names the server, SKERRY_RELAY_MODULE the real module. One call at a time. A server that is gone is
 * CKR_DEVICE_REMOVED, until C_Finalize and C_Initialize. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef SERVER
#include <dlfcn.h>
#endif

typedef unsigned long UL;
typedef UL (*Fn)(UL, UL, UL, UL, UL, UL, UL, UL);
typedef struct { unsigned char major, minor; Fn f[68]; } List;
typedef struct { UL id, a[8], rv; } Call;
typedef struct { UL type; void *value; UL len; } Attribute;
typedef struct { UL type; void *param; UL len; } Mechanism;
typedef struct { void *iv; UL iv_len, iv_bits; void *aad; UL aad_len, tag_bits; } Gcm;

#define PLACE ((char *)0x5a0000000000)
#define SIZE (4UL << 20)
#define CALL ((Call *)PLACE)
enum { INITIALIZE, FINALIZE, GETSLOTLIST = 4, GETSLOTINFO, GETTOKENINFO, GETMECHANISMLIST, GETMECHANISMINFO, OPENSESSION = 12,
       CLOSESESSION, LOGIN = 18, LOGOUT, CREATEOBJECT, DESTROYOBJECT = 22, GETATTRIBUTEVALUE = 24, FINDOBJECTSINIT = 26,
       FINDOBJECTS, FINDOBJECTSFINAL, ENCRYPTINIT, ENCRYPT, DECRYPTINIT = 33, DECRYPT, SIGNINIT = 42, SIGN, GENERATEKEY = 58,
       GENERATEKEYPAIR, WRAPKEY, UNWRAPKEY };
enum { DEVICE_REMOVED = 0x32, NOT_SUPPORTED = 0x54, HOST_MEMORY = 2, NOT_INITIALIZED = 0x190, ALREADY = 0x191 };

#ifdef SERVER
int main(int argc, char **argv) {
    (void)argc;
    int memory = atoi(argv[1]), line = atoi(argv[2]);
    /* The caller's end of the line: kept here it would never be seen to close. */
    close(atoi(argv[3]));
    if (mmap(PLACE, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, memory, 0) != (void *)PLACE) return 1;
    void *module = dlopen(getenv("SKERRY_RELAY_MODULE"), RTLD_NOW);
    if (!module) return 2;
    UL (*get)(List **) = (UL (*)(List **))dlsym(module, "C_GetFunctionList");
    List *list;
    if (!get || get(&list)) return 3;
    char octet;
    while (read(line, &octet, 1) == 1) {
        Call *c = CALL;
        c->rv = list->f[c->id](c->a[0], c->a[1], c->a[2], c->a[3], c->a[4], c->a[5], c->a[6], c->a[7]);
        if (write(line, &octet, 1) != 1) return 0;
    }
    return 0;
}
#else
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static int line = -1;
static pid_t server;
static char *next;

static void *put(const void *from, UL len) {
    if (!from) return NULL;
    char *to = next;
    next += (len + 31) & ~15UL;
    if (next > PLACE + SIZE) abort();
    memcpy(to, from, len);
    return to;
}
static UL at(const void *p) { return (UL)(uintptr_t)p; }
static UL put_at(const void *from, UL len) { return at(put(from, len)); }

static UL put_attributes(const Attribute *from, UL count) {
    Attribute *to = put(from, count * sizeof *from);
    for (UL i = 0; i < count; i++) to[i].value = put(from[i].value, from[i].len);
    return at(to);
}
static UL put_mechanism(const Mechanism *from) {
    Mechanism *to = put(from, sizeof *from);
    to->param = put(from->param, from->len);
    if (to->type == 0x1087 && to->len == sizeof(Gcm)) {
        Gcm *gcm = to->param;
        gcm->iv = put(gcm->iv, gcm->iv_len);
        gcm->aad = gcm->aad_len ? put(gcm->aad, gcm->aad_len) : NULL;
    }
    return at(to);
}

static void begin(void) { pthread_mutex_lock(&turn); next = PLACE + 4096; memset(PLACE, 0, sizeof(Call)); }
static UL end(UL rv) { memset(PLACE, 0, next - PLACE); pthread_mutex_unlock(&turn); return rv; }
static UL call(UL id) {
    if (line < 0) return NOT_INITIALIZED;
    CALL->id = id;
    char octet = 1;
    if (send(line, &octet, 1, MSG_NOSIGNAL) != 1 || read(line, &octet, 1) != 1) return DEVICE_REMOVED;
    return CALL->rv;
}
static UL done(UL id) { return end(call(id)); }
#define A(i) CALL->a[i]

static UL initialize(void *args) {
    (void)args;
    pthread_mutex_lock(&turn);
    if (line >= 0) { pthread_mutex_unlock(&turn); return ALREADY; }
    int memory = memfd_create("relay", 0), ends[2];
    if (memory < 0 || ftruncate(memory, SIZE) || socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) goto failed;
    if (mmap(PLACE, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, memory, 0) != (void *)PLACE) goto failed;
    char first[16], second[16], third[16];
    snprintf(first, sizeof first, "%d", memory);
    snprintf(second, sizeof second, "%d", ends[1]);
    snprintf(third, sizeof third, "%d", ends[0]);
    const char *path = getenv("SKERRY_RELAY_SERVER");
    server = vfork();
    if (server == 0) { execl(path, path, first, second, third, NULL); _exit(9); }
    close(ends[1]);
    close(memory);
    line = ends[0];
    next = PLACE + 4096;
    memset(PLACE, 0, sizeof(Call));
    UL rv = call(INITIALIZE);
    if (rv) { close(line); line = -1; waitpid(server, NULL, 0); }
    pthread_mutex_unlock(&turn);
    return rv;
failed:
    pthread_mutex_unlock(&turn);
    return HOST_MEMORY;
}
static UL finalize(void *args) {
    (void)args;
    begin();
    if (line < 0) return end(NOT_INITIALIZED);
    call(FINALIZE);
    close(line);
    line = -1;
    waitpid(server, NULL, 0);
    munmap(PLACE, SIZE);
    pthread_mutex_unlock(&turn);
    return 0;
}
/* Before the memory is there nothing else is called. */
#define BEGIN if (line < 0) return NOT_INITIALIZED; begin()
#define OUT(to, i, len) do { if (to) memcpy(to, (void *)A(i), len); } while (0)

static UL slots(unsigned char present, UL *list, UL *count) {
    BEGIN;
    A(0) = present; A(1) = put_at(list, *count * sizeof(UL)); A(2) = put_at(count, sizeof(UL));
    UL rv = call(GETSLOTLIST);
    if (!rv) { memcpy(count, (void *)A(2), sizeof(UL)); OUT(list, 1, *count * sizeof(UL)); }
    return end(rv);
}
static UL info(UL id, UL slot, void *to, UL len) {
    BEGIN;
    A(0) = slot; A(1) = put_at(to, len);
    UL rv = call(id);
    if (!rv) OUT(to, 1, len);
    return end(rv);
}
static UL slot_info(UL slot, void *to) { return info(GETSLOTINFO, slot, to, 104); }
static UL token_info(UL slot, void *to) { return info(GETTOKENINFO, slot, to, 208); }
static UL open_session(UL slot, UL flags, void *app, void *notify, UL *session) {
    (void)app; (void)notify;
    BEGIN;
    A(0) = slot; A(1) = flags; A(4) = put_at(session, sizeof(UL));
    UL rv = call(OPENSESSION);
    if (!rv) OUT(session, 4, sizeof(UL));
    return end(rv);
}
static UL close_session(UL s) { BEGIN; A(0) = s; return done(CLOSESESSION); }
static UL login(UL s, UL user, void *pin, UL len) {
    BEGIN; A(0) = s; A(1) = user; A(2) = put_at(pin, len); A(3) = len; return done(LOGIN);
}
static UL logout(UL s) { BEGIN; A(0) = s; return done(LOGOUT); }
static UL create(UL s, Attribute *t, UL n, UL *object) {
    BEGIN;
    A(0) = s; A(1) = put_attributes(t, n); A(2) = n; A(3) = put_at(object, sizeof(UL));
    UL rv = call(CREATEOBJECT);
    if (!rv) OUT(object, 3, sizeof(UL));
    return end(rv);
}
static UL destroy(UL s, UL object) { BEGIN; A(0) = s; A(1) = object; return done(DESTROYOBJECT); }
static UL attributes(UL s, UL object, Attribute *t, UL n) {
    BEGIN;
    A(0) = s; A(1) = object; A(2) = put_attributes(t, n); A(3) = n;
    UL rv = call(GETATTRIBUTEVALUE);
    Attribute *got = (Attribute *)A(2);
    for (UL i = 0; rv != DEVICE_REMOVED && i < n; i++) {
        if (t[i].value && got[i].len != ~0UL && got[i].len <= t[i].len) memcpy(t[i].value, got[i].value, got[i].len);
        t[i].len = got[i].len;
    }
    return end(rv);
}
static UL find_init(UL s, Attribute *t, UL n) {
    BEGIN; A(0) = s; A(1) = put_attributes(t, n); A(2) = n; return done(FINDOBJECTSINIT);
}
static UL find(UL s, UL *objects, UL max, UL *count) {
    BEGIN;
    A(0) = s; A(1) = put_at(objects, max * sizeof(UL)); A(2) = max; A(3) = put_at(count, sizeof(UL));
    UL rv = call(FINDOBJECTS);
    if (!rv) { OUT(count, 3, sizeof(UL)); OUT(objects, 1, *count * sizeof(UL)); }
    return end(rv);
}
static UL find_final(UL s) { BEGIN; A(0) = s; return done(FINDOBJECTSFINAL); }
static UL init(UL id, UL s, Mechanism *m, UL key) {
    BEGIN; A(0) = s; A(1) = put_mechanism(m); A(2) = key; return done(id);
}
static UL encrypt_init(UL s, Mechanism *m, UL key) { return init(ENCRYPTINIT, s, m, key); }
static UL decrypt_init(UL s, Mechanism *m, UL key) { return init(DECRYPTINIT, s, m, key); }
static UL sign_init(UL s, Mechanism *m, UL key) { return init(SIGNINIT, s, m, key); }
static UL through(UL id, UL s, void *in, UL len, void *out, UL *out_len) {
    BEGIN;
    A(0) = s; A(1) = put_at(in, len); A(2) = len; A(3) = put_at(out, *out_len); A(4) = put_at(out_len, sizeof(UL));
    UL room = *out_len, rv = call(id);
    if (!rv) { OUT(out_len, 4, sizeof(UL)); if (out && *out_len <= room) OUT(out, 3, *out_len); }
    return end(rv);
}
static UL encrypt(UL s, void *in, UL len, void *out, UL *n) { return through(ENCRYPT, s, in, len, out, n); }
static UL decrypt(UL s, void *in, UL len, void *out, UL *n) { return through(DECRYPT, s, in, len, out, n); }
static UL sign(UL s, void *in, UL len, void *out, UL *n) { return through(SIGN, s, in, len, out, n); }
static UL generate(UL s, Mechanism *m, Attribute *t, UL n, UL *key) {
    BEGIN;
    A(0) = s; A(1) = put_mechanism(m); A(2) = put_attributes(t, n); A(3) = n; A(4) = put_at(key, sizeof(UL));
    UL rv = call(GENERATEKEY);
    if (!rv) OUT(key, 4, sizeof(UL));
    return end(rv);
}
static UL generate_pair(UL s, Mechanism *m, Attribute *t, UL n, Attribute *u, UL k, UL *public, UL *private) {
    BEGIN;
    A(0) = s; A(1) = put_mechanism(m); A(2) = put_attributes(t, n); A(3) = n; A(4) = put_attributes(u, k); A(5) = k;
    A(6) = put_at(public, sizeof(UL)); A(7) = put_at(private, sizeof(UL));
    UL rv = call(GENERATEKEYPAIR);
    if (!rv) { OUT(public, 6, sizeof(UL)); OUT(private, 7, sizeof(UL)); }
    return end(rv);
}
static UL wrap(UL s, Mechanism *m, UL by, UL key, void *out, UL *len) {
    BEGIN;
    A(0) = s; A(1) = put_mechanism(m); A(2) = by; A(3) = key; A(4) = put_at(out, *len); A(5) = put_at(len, sizeof(UL));
    UL room = *len, rv = call(WRAPKEY);
    if (!rv) { OUT(len, 5, sizeof(UL)); if (out && *len <= room) OUT(out, 4, *len); }
    return end(rv);
}
static UL unwrap(UL s, Mechanism *m, UL by, void *in, UL len, Attribute *t, UL n, UL *key) {
    BEGIN;
    A(0) = s; A(1) = put_mechanism(m); A(2) = by; A(3) = put_at(in, len); A(4) = len; A(5) = put_attributes(t, n); A(6) = n;
    A(7) = put_at(key, sizeof(UL));
    UL rv = call(UNWRAPKEY);
    if (!rv) OUT(key, 7, sizeof(UL));
    return end(rv);
}
static UL not_supported(void) { return NOT_SUPPORTED; }

static List list = { 2, 40, { 0 } };
UL C_GetFunctionList(List **to) {
    for (int i = 0; i < 68; i++) list.f[i] = (Fn)(void *)not_supported;
#define SET(id, fn) list.f[id] = (Fn)(void *)fn
    SET(INITIALIZE, initialize); SET(FINALIZE, finalize); SET(3, C_GetFunctionList); SET(GETSLOTLIST, slots);
    SET(GETSLOTINFO, slot_info); SET(GETTOKENINFO, token_info); SET(OPENSESSION, open_session);
    SET(CLOSESESSION, close_session); SET(LOGIN, login); SET(LOGOUT, logout); SET(CREATEOBJECT, create);
    SET(DESTROYOBJECT, destroy); SET(GETATTRIBUTEVALUE, attributes); SET(FINDOBJECTSINIT, find_init);
    SET(FINDOBJECTS, find); SET(FINDOBJECTSFINAL, find_final); SET(ENCRYPTINIT, encrypt_init); SET(ENCRYPT, encrypt);
    SET(DECRYPTINIT, decrypt_init); SET(DECRYPT, decrypt); SET(SIGNINIT, sign_init); SET(SIGN, sign);
    SET(GENERATEKEY, generate); SET(GENERATEKEYPAIR, generate_pair); SET(WRAPKEY, wrap); SET(UNWRAPKEY, unwrap);
    *to = &list;
    return 0;
}
#endif
