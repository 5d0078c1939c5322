/* Who feeds whom. A leg sits in `flowing` of the track that feeds it, and in `waiting` of the track that will, once
 * a packet comes to begin with. */

static bool list_reserve(LegList *list, int count)
{
    if (list->room >= count)
        return true;
    int room = list->room ? list->room : 4;
    while (room < count)
        room *= 2;
    Leg **legs = realloc(list->legs, (size_t)room * sizeof(Leg *));
    if (!legs)
        return false;
    list->legs = legs;
    list->room = room;
    return true;
}

static bool list_add(LegList *list, Leg *leg, int *index)
{
    if (!list_reserve(list, list->count + 1))
        return false;
    *index = list->count;
    list->legs[list->count++] = leg;
    return true;
}

static void leg_cancel_pending(Leg *leg)
{
    if (!leg->pending)
        return;
    LegList *waiting = &leg->pending->waiting;
    Leg *moved = waiting->legs[--waiting->count];
    waiting->legs[leg->waiting_index] = moved;
    moved->waiting_index = leg->waiting_index;
    mapping_release(leg->pending_mapping);
    leg->pending = NULL;
    leg->pending_mapping = NULL;
}

static void leg_leave(Leg *leg)
{
    Track *track = leg->source;
    if (track) {
        LegList *flowing = &track->flowing;
        Leg *moved = flowing->legs[--flowing->count];
        flowing->legs[leg->flowing_index] = moved;
        moved->flowing_index = leg->flowing_index;
        track->torn -= leg->state.torn;
        leg->source = NULL;
    }
    leg_end(leg);
}

static void leg_unhook(Leg *leg)
{
    leg_cancel_pending(leg);
    leg_leave(leg);
}

/* Takes over `mapping`'s user, also on failure, which is want of memory. A place in `flowing` is taken along with
 * the one in `waiting`: beginning, in the middle of a batch, can't fail. */
static bool leg_await(Leg *leg, Track *track, Mapping *mapping)
{
    leg_cancel_pending(leg);
    if (!list_reserve(&track->flowing, track->flowing.count + track->waiting.count + 1) ||
        !list_add(&track->waiting, leg, &leg->waiting_index)) {
        mapping_release(mapping);
        return false;
    }
    leg->pending = track;
    leg->pending_mapping = mapping;
    return true;
}

static bool leg_set_source(Leg *leg, Track *track, Mapping *mapping)
{
    if (leg->source == track) {
        leg_cancel_pending(leg);
        if (leg->era->mapping == mapping)
            mapping_release(mapping);
        else
            leg_remap(leg, mapping);
        return true;
    }
    if (leg->audio)
        leg_unhook(leg);
    return leg_await(leg, track, mapping);
}

bool track_mute(Track *track, bool muted)
{
    if (track->muted == muted)
        return true;
    track->muted = muted;
    bool fits = true;
    while (muted && track->flowing.count) {
        Leg *leg = track->flowing.legs[track->flowing.count - 1];
        Mapping *mapping = leg->era->mapping;
        mapping->users++;
        leg_leave(leg);
        if (leg->pending)
            mapping_release(mapping);
        else
            fits = leg_await(leg, track, mapping) && fits;
    }
    return fits;
}

static void track_detach(Track *track)
{
    while (track->flowing.count)
        leg_leave(track->flowing.legs[track->flowing.count - 1]);
    while (track->waiting.count)
        leg_cancel_pending(track->waiting.legs[track->waiting.count - 1]);
}

/* The memory itself goes with the last era that names the track. */
static void track_remove(Track *track)
{
    track_detach(track);
    transport_remove_streams(track->transport, track);
    cache_close(&track->cache);
    free(track->flowing.legs);
    free(track->waiting.legs);
    track->flowing = track->waiting = (LegList){0};
    track->removed = true;
    track_release(track);
}

static void leg_free(Leg *leg)
{
    leg_unhook(leg);
    uint32_t eras = leg->era_count < MAX_ERAS ? leg->era_count : MAX_ERAS;
    for (uint32_t index = 0; index < eras; index++)
        era_release(&leg->eras[index]);
    free(leg->segments.segments);
    free(leg);
}
