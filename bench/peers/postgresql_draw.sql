-- postgresql_draw.sql: the weighted draw as a function of PostgreSQL: SELECT * FROM draw(pool, draws)
--
-- A pool is one row, locked for the length of a transaction: id of the next draw, weights, and of each item
-- how many are left. Rows of their own for the items would not help: most draws are of the same few items, and
-- whoever waits for a row waits for the commit, and so the sync, of the transaction before. The answer is the
-- first id and an array of items (0: nothing was in stock).

CREATE TABLE pools (
    name text PRIMARY KEY,
    next_id bigint NOT NULL,
    weights double precision[] NOT NULL,
    stock bigint[] NOT NULL
) WITH (fillfactor = 50); -- room for updates in place

INSERT INTO pools VALUES ('main', 1, '{10, 50, 240, 1000, 3000, 5700}', array_fill(:stock::bigint, ARRAY[6]));

-- Where the sums of the weights in stock end, item by item.
CREATE FUNCTION bounds_of(weights double precision[], stock bigint[]) RETURNS double precision[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    total double precision := 0;
    bounds double precision[] := '{}';
BEGIN
    FOR i IN 1 .. array_length(weights, 1) LOOP
        IF stock[i] > 0 THEN
            total := total + weights[i];
        END IF;
        bounds[i] := total;
    END LOOP;
    RETURN bounds;
END $$;

-- One draw after the other: right whatever is in stock.
CREATE FUNCTION draw_one_by_one(weights double precision[], draws integer,
                                INOUT stock bigint[], OUT outcomes integer[])
LANGUAGE plpgsql AS $$
DECLARE
    items integer := array_length(weights, 1);
    bounds double precision[] := bounds_of(weights, stock);
    item integer;
BEGIN
    FOR k IN 1 .. draws LOOP
        item := 0;
        IF bounds[items] > 0 THEN
            item := 1 + width_bucket(random() * bounds[items], bounds);
            stock[item] := stock[item] - 1;
            IF stock[item] = 0 THEN
                bounds := bounds_of(weights, stock);
            END IF;
        END IF;
        outcomes[k] := item;
    END LOOP;
END $$;

CREATE FUNCTION draw(pool text, draws integer, OUT first_id bigint, OUT outcomes integer[])
LANGUAGE plpgsql AS $$
DECLARE
    weight double precision[];
    before bigint[];
    behind bigint[];
    bounds double precision[];
    total double precision;
BEGIN
    SELECT next_id, weights, stock INTO first_id, weight, before FROM pools WHERE name = pool FOR UPDATE;
    IF draws > 1 THEN
        -- All at once, as if nothing could run out; if something would have, it is not taken.
        bounds := bounds_of(weight, before);
        total := bounds[array_length(bounds, 1)];
        IF total > 0 THEN
            SELECT array_agg(item) INTO outcomes
            FROM (SELECT 1 + width_bucket(random() * total, bounds) AS item FROM generate_series(1, draws)) AS drawn;
            SELECT array_agg(before[i] - coalesce(taken, 0) ORDER BY i) INTO behind
            FROM generate_series(1, array_length(before, 1)) AS i
            LEFT JOIN (SELECT item, count(*) AS taken FROM unnest(outcomes) AS item GROUP BY item) AS counted
            ON item = i;
        END IF;
    END IF;
    IF behind IS NULL OR 0 > ANY (behind) THEN
        SELECT one.stock, one.outcomes INTO behind, outcomes FROM draw_one_by_one(weight, draws, before) AS one;
    END IF;
    UPDATE pools SET next_id = next_id + draws, stock = behind WHERE name = pool;
END $$;
