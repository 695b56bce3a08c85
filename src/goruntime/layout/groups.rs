//! Offsets of the structures that heap walk, wait queues, scheduler and collector need. A group whose structures a
//! program's runtime does not have is none as a whole: what needs it then says that it cannot run.

macro_rules! group {
    ($(#[$doc:meta])* $name:ident { $($field:ident $path:literal;)* } maybe { $($maybe:ident $mpath:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[allow(missing_docs)] // the runtime's own names
        pub struct $name { $(pub $field: u64,)* $(pub $maybe: Option<u64>,)* }
        impl $name {
            pub(super) fn find(find: impl Fn(&str) -> Option<u64>) -> Option<$name> {
                Some($name { $($field: find($path)?,)* $($maybe: find($mpath),)* })
            }
        }
    };
}

group! {
    /// Offsets in `mheap`, `mspan`, `heapArena`, `special` and the pointer masks of `moduledata`.
    HeapLayout {
        sweepgen "runtime.mheap.sweepgen";
        allspans "runtime.mheap.allspans";
        arenas "runtime.mheap.arenas";
        span_size "runtime.mspan.@size";
        span_start "runtime.mspan.startAddr";
        span_npages "runtime.mspan.npages";
        span_freeindex "runtime.mspan.freeindex";
        span_nelems "runtime.mspan.nelems";
        span_alloc_bits "runtime.mspan.allocBits";
        span_class "runtime.mspan.spanclass";
        span_state "runtime.mspan.state";
        span_elemsize "runtime.mspan.elemsize";
        span_limit "runtime.mspan.limit";
        span_specials "runtime.mspan.specials";
        span_user_arena "runtime.mspan.isUserArenaChunk";
        arena_spans "runtime.heapArena.spans";
        special_next "runtime.special.next";
        special_offset "runtime.special.offset";
        special_kind "runtime.special.kind";
        finalizer_fn "runtime.specialfinalizer.fn";
        gcdatamask "runtime.moduledata.gcdatamask";
        gcbssmask "runtime.moduledata.gcbssmask";
        module_next "runtime.moduledata.next";
        module_rodata "runtime.moduledata.rodata";
    } maybe {
        span_large_type "runtime.mspan.largeType";
        arena_bitmap "runtime.heapArena.bitmap";
        arena_no_more_ptrs "runtime.heapArena.noMorePtrs";
        cleanup_blocks "runtime.cleanupQueue.all";
    }
}

group! {
    /// Offsets in `m`, `p` and `schedt` that say what the scheduler does.
    SchedLayout {
        m_id "runtime.m.id";
        m_p "runtime.m.p";
        m_alllink "runtime.m.alllink";
        m_lockedg "runtime.m.lockedg";
        m_incgo "runtime.m.incgo";
        m_blocked "runtime.m.blocked";
        m_spinning "runtime.m.spinning";
        p_id "runtime.p.id";
        p_status "runtime.p.status";
        p_m "runtime.p.m";
        p_schedtick "runtime.p.schedtick";
        p_syscalltick "runtime.p.syscalltick";
        p_limiter_event "runtime.p.limiterEvent.stamp";
        p_runqhead "runtime.p.runqhead";
        p_runqtail "runtime.p.runqtail";
        p_runnext "runtime.p.runnext";
        lastpoll "runtime.schedt.lastpoll";
        nmidle "runtime.schedt.nmidle";
        npidle "runtime.schedt.npidle";
        nmspinning "runtime.schedt.nmspinning";
        gcwaiting "runtime.schedt.gcwaiting";
        stopwait "runtime.schedt.stopwait";
    } maybe {
        runq_size "runtime.schedt.runq.size";
        runqsize "runtime.schedt.runqsize";
        p_mark_worker_mode "runtime.p.gcMarkWorkerMode";
        p_free_gs "runtime.p.gFree.n";
        p_free_gs_list "runtime.p.gFree.size";
        free_gs "runtime.schedt.gFree.n";
        free_gs_with_stack "runtime.schedt.gFree.stack.size";
        free_gs_without_stack "runtime.schedt.gFree.noStack.size";
        system_gs "runtime.schedt.ngsys";
    }
}

group! {
    /// Offsets in timers.
    TimerLayout {
        p_timers "runtime.p.timers";
        when "runtime.timer.when";
        period "runtime.timer.period";
        func "runtime.timer.f";
        arg "runtime.timer.arg";
        g_timer "runtime.g.timer";
    } maybe {
        heap "runtime.timers.heap";
        time_timer "runtime.timeTimer.timer";
    }
}

group! {
    /// Offsets in `pollDesc`.
    PollLayout {
        fd "runtime.pollDesc.fd";
        rg "runtime.pollDesc.rg";
        wg "runtime.pollDesc.wg";
    } maybe {}
}

group! {
    /// Offsets in the collector's state.
    GcLayout {
        mark_root_next "runtime.workType.markrootNext";
        cycles "runtime.workType.cycles";
        assist_queue "runtime.workType.assistQueue";
        gc_percent "runtime.gcControllerState.gcPercent";
        memory_limit "runtime.gcControllerState.memoryLimit";
        heap_live "runtime.gcControllerState.heapLive";
        heap_marked "runtime.gcControllerState.heapMarked";
        last_heap_goal "runtime.gcControllerState.lastHeapGoal";
        enablegc "runtime.mstats.enablegc";
        numgc "runtime.mstats.numgc";
        pause_total_ns "runtime.mstats.pause_total_ns";
        last_gc_nanotime "runtime.mstats.last_gc_nanotime";
        gc_cpu_fraction "runtime.mstats.gc_cpu_fraction";
    } maybe {
        pause_ns "runtime.mstats.pause_ns";
        pause_end "runtime.mstats.pause_end";
        percent_heap_goal "runtime.gcControllerState.gcPercentHeapGoal";
    }
}

/// The structures that these groups name.
pub(super) const STRUCTS: &[&str] = &[
    "runtime.p",
    "runtime.schedt",
    "runtime.mheap",
    "runtime.mspan",
    "runtime.heapArena",
    "runtime.moduledata",
    "runtime.timer",
    "runtime.timers",
    "runtime.timeTimer",
    "runtime.pollDesc",
    "runtime.special",
    "runtime.specialfinalizer",
    "runtime.cleanupQueue",
    "runtime.workType",
    "runtime.gcControllerState",
    "runtime.mstats",
];
