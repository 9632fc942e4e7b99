create table if not exists oauth_core_grant (
    key text primary key,
    -- By this server's clock in microseconds, and always higher than before; 0 where there is only a
    -- lease.
    version bigint not null default 0,
    -- Empty where it was removed.
    record text,
    -- Who has the lease, and until when by this server's clock.
    holder text,
    until timestamptz
);
create index if not exists oauth_core_grant_removed on oauth_core_grant (version) where record = '';
