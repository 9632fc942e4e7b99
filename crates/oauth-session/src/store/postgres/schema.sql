create table if not exists oauth_core_grant (
    key text primary key,
    -- By this server's clock in microseconds, and always higher than before; 0 where there is only a
    -- lease.
    version bigint not null default 0,
    -- Empty where it was removed.
    record text,
    -- When it should be renewed, in seconds since 1970; null if nobody has to.
    due bigint,
    -- When it ends, likewise; null if it does not.
    ends bigint,
    -- Who has the lease, and until when by this server's clock.
    holder text,
    until timestamptz
);
-- Tables of earlier versions lack them.
alter table oauth_core_grant add column if not exists due bigint;
alter table oauth_core_grant add column if not exists ends bigint;
create index if not exists oauth_core_grant_due on oauth_core_grant (due) where due is not null;
create index if not exists oauth_core_grant_removed on oauth_core_grant (version) where record = '';
create index if not exists oauth_core_grant_ends on oauth_core_grant (ends) where ends is not null;
