// The fibers that threads run in, and the launch of a grid; see on_cpu.h.
#include "on_cpu.h"
#include <sched.h>
#include <setjmp.h>
#include <stdlib.h>
#include <ucontext.h>
#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim

constexpr size_t STACK = 64 << 10, SHARED = 64 << 10;
constexpr int MOST = 1024, LANES = 32;
typedef long long Word;
typedef void (*Function)(Word, Word, Word, Word, Word, Word, Word, Word, Word, Word);

struct Meeting {
    unsigned come, round;
    bool any, said;
};

// A context starts a fiber; afterwards jumps switch, which unlike swapcontext call no kernel.
struct Fiber {
    ucontext_t context;
    jmp_buf jump;
    bool begun;
    on_cpu_thread at;
    const Meeting *meeting; // where it waits, if at all, and for the end of which round
    unsigned round;
    bool idle;
};

struct Block {
    jmp_buf home;
    int running;
    unsigned next, threads, ended;
    bool moved; // did anything happen in this turn of the fibers?
    Meeting block, warp[MOST / LANES];
    unsigned shared[MOST / LANES][LANES][8];
    Function function;
    const Word *p;
    unsigned number, blocks;
};

thread_local on_cpu_thread *on_cpu_here;
static thread_local Block *block;
static thread_local Fiber *fibers[MOST]; // of this host thread, for all its launches
static thread_local int made;
alignas(128) thread_local char stages[SHARED]; // dynamic shared memory, by its name in the sources

static void leave(Fiber *self)
{
    if (!_setjmp(self->jump))
        _longjmp(block->home, 1);
}

static void enter(Fiber *fiber)
{
    if (_setjmp(block->home))
        return;
    if (fiber->begun)
        _longjmp(fiber->jump, 1);
    fiber->begun = true;
    setcontext(&fiber->context);
}

static void wait_for_round(const Meeting &meeting, unsigned round)
{
    Fiber *self = fibers[block->running];
    self->meeting = &meeting;
    self->round = round;
    on_cpu_yield();
    self->meeting = nullptr;
}

static void work()
{
    Fiber *self = fibers[block->running];
    for (;;) {
        while (block->next < block->threads) {
            self->at = {{block->next++}, {block->number}, {block->threads}, {block->blocks}};
            on_cpu_here = &self->at;
            const Word *p = block->p;
            block->function(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], p[8], p[9]);
            ++block->ended;
            block->moved = true;
        }
        self->idle = true;
        leave(self);
    }
}

void on_cpu_yield()
{
    Fiber *self = fibers[block->running];
    leave(self);
    on_cpu_here = &self->at;
}

bool on_cpu_meet(unsigned first, unsigned threads, bool any)
{
    Meeting &m = threads == block->threads && first == 0 ? block->block : block->warp[first / LANES];
    const unsigned round = m.round;
    m.any |= any;
    if (++m.come == threads) {
        m.said = m.any;
        m.any = false;
        m.come = 0;
        ++m.round;
        block->moved = true;
        return m.said;
    }
    wait_for_round(m, round);
    return m.said;
}

const unsigned (*on_cpu_share(const unsigned *mine, int words))[8]
{
    const unsigned me = on_cpu_here->threadIdx.x, warp = me / LANES;
    on_cpu_meet(warp * LANES, LANES); // all have read what was there before
    memcpy(block->shared[warp][me % LANES], mine, words * sizeof *mine);
    on_cpu_meet(warp * LANES, LANES);
    return block->shared[warp];
}

unsigned long long on_cpu_exchange(unsigned long long value, unsigned from)
{
    unsigned words[2];
    memcpy(words, &value, sizeof value);
    memcpy(&value, on_cpu_share(words, 2)[from], sizeof value);
    return value;
}

static Fiber *new_fiber()
{
    Fiber *fiber = (Fiber *)calloc(1, sizeof(Fiber));
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = malloc(STACK);
    fiber->context.uc_stack.ss_size = STACK;
    fiber->context.uc_link = nullptr;
    makecontext(&fiber->context, work, 0);
    fiber->idle = true;
    return fiber;
}

static void run_block()
{
    while (block->ended < block->threads) {
        block->moved = false;
        bool someone = false; // does a fiber wait for work?
        for (int k = 0; k < made; ++k) {
            Fiber *fiber = fibers[k];
            if (fiber->idle && block->next == block->threads)
                continue;
            if (fiber->meeting && fiber->meeting->round == fiber->round)
                continue;
            someone |= fiber->idle;
            fiber->idle = false;
            block->running = k;
            enter(fiber);
        }
        if (!someone && block->next < block->threads) {
            fibers[made++] = new_fiber();
            block->moved = true;
        }
        if (!block->moved)
            sched_yield();
    }
}

static on_cpu_kernels *all;

on_cpu_kernels::on_cpu_kernels(const on_cpu_kernel *of, int number) : rows(of), count(number), next(all)
{
    all = this;
}

// The kernel of that name and how many parameters it has; null: there is none.
extern "C" void *on_cpu_find(const char *name, int *arity)
{
    for (on_cpu_kernels *list = all; list; list = list->next)
        for (int k = 0; k < list->count; ++k)
            if (strcmp(list->rows[k].name, name) == 0) {
                *arity = list->rows[k].arity;
                return list->rows[k].function;
            }
    return nullptr;
}

// Runs a grid of a kernel whose parameters are words; they are copied.
extern "C" void on_cpu_launch(void *function, int blocks, int threads, int arity, const Word *given)
{
    Word p[10] = {};
    memcpy(p, given, arity * sizeof(Word));
    Block each = {};
    each.function = (Function)function;
    each.p = p;
    each.threads = (unsigned)threads;
    each.blocks = (unsigned)blocks;
    block = &each;
    for (each.number = 0; each.number < each.blocks; ++each.number) {
        each.next = each.ended = 0;
        run_block();
    }
    block = nullptr;
}
