// A little stock exchange: orders arrive, are matched by price and age against those that wait, and trades are settled.
// What still waits at the end of a session is dropped.
//
//   order-matching SECONDS
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ORDERS_PER_SESSION 20000u
#define ACCOUNT_SLOTS (1u << 15) /* a power of two, twice the number of accounts */
#define ACCOUNTS 16000u

struct order {
	uint32_t price;
	uint32_t quantity;
	uint32_t account;
	uint64_t arrival;
	bool buys;
};

/* One side of the book: a heap with the best order, the older one of two equal ones, at its top. */
struct side {
	struct order *orders;
	size_t count;
};

struct account {
	uint32_t id;
	int64_t balance;
	int64_t shares;
};

struct exchange {
	struct side buyers, sellers;
	struct account *accounts;
	uint64_t random, arrivals, trades;
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* An order near 1,000.00; the sum of four numbers makes prices cluster. */
static struct order receive_order(struct exchange *exchange)
{
	uint32_t price = 98000;
	for (int i = 0; i < 4; i++)
		price += next_random(&exchange->random) % 1000;
	uint64_t random = next_random(&exchange->random);
	return (struct order){
		.price = price,
		.quantity = 1 + (random >> 8) % 100,
		.account = 1 + (random >> 16) % ACCOUNTS,
		.arrival = exchange->arrivals++,
		.buys = random & 1,
	};
}

static bool comes_before(const struct order *a, const struct order *b)
{
	if (a->price != b->price)
		return a->buys ? a->price > b->price : a->price < b->price;
	return a->arrival < b->arrival;
}

static void swap_orders(struct order *a, struct order *b)
{
	struct order other = *a;
	*a = *b;
	*b = other;
}

/* Puts an order among those that wait. */
static void rest_order(struct side *side, const struct order *order)
{
	size_t at = side->count++;
	side->orders[at] = *order;
	while (at > 0 && comes_before(&side->orders[at], &side->orders[(at - 1) / 2])) {
		swap_orders(&side->orders[at], &side->orders[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
}

/* Takes the best order away from those that wait. */
static void remove_best(struct side *side)
{
	side->orders[0] = side->orders[--side->count];
	for (size_t at = 0;;) {
		size_t best = at;
		for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < side->count; child++)
			if (comes_before(&side->orders[child], &side->orders[best]))
				best = child;
		if (best == at)
			return;
		swap_orders(&side->orders[at], &side->orders[best]);
		at = best;
	}
}

static struct account *find_account(struct account *accounts, uint32_t id)
{
	uint32_t slot = id * 2654435761u & (ACCOUNT_SLOTS - 1);
	while (accounts[slot].id != id && accounts[slot].id != 0)
		slot = (slot + 1) & (ACCOUNT_SLOTS - 1);
	accounts[slot].id = id;
	return &accounts[slot];
}

static void settle_trade(struct exchange *exchange, const struct order *buyer, const struct order *seller,
			 uint32_t quantity, uint32_t price)
{
	struct account *to = find_account(exchange->accounts, buyer->account);
	struct account *from = find_account(exchange->accounts, seller->account);
	int64_t amount = (int64_t)quantity * price;
	to->balance -= amount;
	to->shares += quantity;
	from->balance += amount;
	from->shares -= quantity;
	exchange->trades++;
}

/* Trades with whoever waits for such an order; what is left of it waits, too. */
static void match_order(struct exchange *exchange, struct order order)
{
	struct side *others = order.buys ? &exchange->sellers : &exchange->buyers;
	struct side *own = order.buys ? &exchange->buyers : &exchange->sellers;
	while (order.quantity > 0 && others->count > 0) {
		struct order *best = &others->orders[0];
		if (order.buys ? best->price > order.price : best->price < order.price)
			break;
		uint32_t quantity = order.quantity < best->quantity ? order.quantity : best->quantity;
		if (order.buys)
			settle_trade(exchange, &order, best, quantity, best->price);
		else
			settle_trade(exchange, best, &order, quantity, best->price);
		order.quantity -= quantity;
		best->quantity -= quantity;
		if (best->quantity == 0)
			remove_best(others);
	}
	if (order.quantity > 0)
		rest_order(own, &order);
}

static void run_session(struct exchange *exchange)
{
	exchange->buyers.count = exchange->sellers.count = 0;
	for (unsigned int i = 0; i < ORDERS_PER_SESSION; i++)
		match_order(exchange, receive_order(exchange));
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 60);
	struct exchange exchange = { .random = 88172645463325252u };
	exchange.buyers.orders = calloc(ORDERS_PER_SESSION, sizeof(struct order));
	exchange.sellers.orders = calloc(ORDERS_PER_SESSION, sizeof(struct order));
	exchange.accounts = calloc(ACCOUNT_SLOTS, sizeof(struct account));
	if (!exchange.buyers.orders || !exchange.sellers.orders || !exchange.accounts)
		return 1;
	while (time(NULL) < end)
		run_session(&exchange);
	printf("%" PRIu64 " orders, %" PRIu64 " trades\n", exchange.arrivals, exchange.trades);
	return 0;
}
