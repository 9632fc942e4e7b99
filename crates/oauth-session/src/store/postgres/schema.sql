create table if not exists oauth_core_grant (
    key text primary key,
    -- How often the record was saved; 0 where there is only a lease.
    version bigint not null default 0,
    record text,
    -- Who has the lease, and until when by this server's clock.
    holder text,
    until timestamptz
);
