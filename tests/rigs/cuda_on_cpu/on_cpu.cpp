// The fibers that threads run in, and the launch of a grid; see on_cpu.h.
#include "on_cpu.h"
#include <sched.h>
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

struct Fiber {
    ucontext_t context;
    on_cpu_thread at;
    bool idle;
};

struct Block {
    ucontext_t home;
    Fiber *fibers[MOST];
    int count, running;
    unsigned next, threads, ended;
    bool moved; // did anything happen in this turn of the fibers?
    Meeting block, warp[MOST / LANES];
    unsigned long long lanes[MOST / LANES][LANES];
    Function function;
    const Word *p;
    unsigned number, blocks;
};

thread_local on_cpu_thread *on_cpu_here;
static thread_local Block *block;
alignas(128) thread_local char stages[SHARED]; // dynamic shared memory, by its name in the sources

static void work()
{
    Fiber *self = block->fibers[block->running];
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
        swapcontext(&self->context, &block->home);
    }
}

void on_cpu_yield()
{
    Fiber *self = block->fibers[block->running];
    swapcontext(&self->context, &block->home);
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
    while (m.round == round)
        on_cpu_yield();
    return m.said;
}

unsigned long long on_cpu_exchange(unsigned long long value, unsigned from)
{
    const unsigned me = on_cpu_here->threadIdx.x, warp = me / LANES;
    block->lanes[warp][me % LANES] = value;
    Meeting &m = block->warp[warp];
    for (int twice = 0; twice < 2; ++twice) {
        const unsigned round = m.round;
        if (twice == 1)
            value = block->lanes[warp][from];
        if (++m.come == LANES) {
            m.come = 0;
            ++m.round;
            block->moved = true;
        } else {
            while (m.round == round)
                on_cpu_yield();
        }
    }
    return value;
}

static Fiber *new_fiber()
{
    Fiber *fiber = (Fiber *)malloc(sizeof(Fiber));
    getcontext(&fiber->context);
    fiber->context.uc_stack.ss_sp = malloc(STACK);
    fiber->context.uc_stack.ss_size = STACK;
    fiber->context.uc_link = nullptr;
    makecontext(&fiber->context, work, 0);
    return fiber;
}

static void run_block()
{
    while (block->ended < block->threads) {
        block->moved = false;
        bool someone = false; // does a fiber wait for work?
        for (int k = 0; k < block->count; ++k) {
            Fiber *fiber = block->fibers[k];
            if (fiber->idle && block->next == block->threads)
                continue;
            someone |= fiber->idle;
            fiber->idle = false;
            block->running = k;
            swapcontext(&block->home, &fiber->context);
        }
        if (!someone && block->next < block->threads) {
            block->fibers[block->count] = new_fiber();
            block->fibers[block->count++]->idle = true;
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
    Block made = {};
    made.function = (Function)function;
    made.p = p;
    made.threads = (unsigned)threads;
    made.blocks = (unsigned)blocks;
    block = &made;
    for (made.number = 0; made.number < made.blocks; ++made.number) {
        made.next = made.ended = 0;
        run_block();
    }
    for (int k = 0; k < made.count; ++k) {
        free(made.fibers[k]->context.uc_stack.ss_sp);
        free(made.fibers[k]);
    }
    block = nullptr;
}
