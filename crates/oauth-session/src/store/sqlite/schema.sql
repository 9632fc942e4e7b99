create table if not exists oauth_core_grant (
    key text primary key,
    -- By this machine's clock in microseconds, and always higher than before; 0 where there is only a
    -- lease.
    version integer not null default 0,
    -- Empty where it was removed.
    record text,
    -- When it should be renewed, in seconds since 1970; null if nobody has to.
    due integer,
    -- When it ends, likewise; null if it does not.
    ends integer,
    -- Who has the lease, since when and until when, in milliseconds since 1970.
    holder text,
    taken_at integer,
    until integer
) strict, without rowid;
create index if not exists oauth_core_grant_due on oauth_core_grant (due, key) where due is not null;
create index if not exists oauth_core_grant_removed on oauth_core_grant (version) where record = '';
create index if not exists oauth_core_grant_ends on oauth_core_grant (ends) where ends is not null;
pragma user_version = 1;
