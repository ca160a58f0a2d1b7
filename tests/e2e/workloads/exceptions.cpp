// C++ as it is written: exceptions through many frames, destructors that spend time meanwhile, templates that call each
// other, virtual functions, lambdas, algorithms of the library, threads.
#include "spin.h"
#include <algorithm>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace tg {

struct Guard {
	~Guard();
};

TG_APART void tg_cleaning()
{
	for (int i = 0; i < 2; i++)
		tg_spin();
	TG_AFTER();
}

TG_APART Guard::~Guard()
{
	tg_cleaning();
	TG_AFTER();
}

TG_APART int tg_descending(int depth)
{
	if (depth == 0)
		throw std::runtime_error("the end of a long way");
	if (depth % 20 == 0) {
		Guard guard;
		int result = tg_descending(depth - 1);
		TG_AFTER();
		return result + 1;
	}
	int result = tg_descending(depth - 1);
	TG_AFTER();
	return result + 1;
}

TG_APART void tg_caught(const std::exception &error)
{
	tg_sink += static_cast<unsigned char>(error.what()[0]);
	for (int i = 0; i < 10; i++)
		tg_spin();
	TG_AFTER();
}

TG_APART void tg_throwing()
{
	try {
		tg_descending(60);
	} catch (const std::exception &error) {
		tg_caught(error);
	}
	TG_AFTER();
}

// Time in the unwinder of exceptions itself.
TG_APART void tg_throwing_often()
{
	for (int i = 0; i < 30; i++) {
		try {
			tg_descending(19);
		} catch (const std::runtime_error &) {
			tg_sink += 1;
		}
	}
	TG_AFTER();
}

template <int Level, typename Word> struct Tower {
	TG_APART static Word tg_floor(Word word)
	{
		Word result = Tower<Level - 1, Word>::tg_floor(word + 1);
		TG_AFTER();
		return result * 3;
	}
};

template <typename Word> struct Tower<0, Word> {
	TG_APART static Word tg_floor(Word word)
	{
		for (int i = 0; i < 10; i++)
			tg_spin();
		TG_AFTER();
		return word;
	}
};

TG_APART void tg_templates()
{
	tg_sink += Tower<30, unsigned long>::tg_floor(1);
	tg_sink += Tower<12, unsigned short>::tg_floor(1);
	TG_AFTER();
}

struct Shape {
	virtual ~Shape() = default;
	virtual int tg_area() const = 0;
};

struct Square : Shape {
	TG_APART int tg_area() const override
	{
		for (int i = 0; i < 5; i++)
			tg_spin();
		TG_AFTER();
		return 4;
	}
};

struct Second {
	virtual ~Second() = default;
	virtual int tg_area_of_second() const { return 0; }
};

// Called through a base that is not the first one, by way of a thunk.
struct Both : Second, Shape {
	TG_APART int tg_area() const override
	{
		for (int i = 0; i < 5; i++)
			tg_spin();
		TG_AFTER();
		return 5;
	}
};

TG_APART void tg_virtual()
{
	std::vector<std::unique_ptr<Shape>> shapes;
	shapes.push_back(std::make_unique<Square>());
	shapes.push_back(std::make_unique<Both>());
	for (const auto &shape : shapes)
		tg_sink += static_cast<uint64_t>(shape->tg_area());
	TG_AFTER();
}

TG_APART bool tg_less(int a, int b)
{
	tg_spin();
	TG_AFTER();
	return a < b;
}

TG_APART void tg_algorithms()
{
	std::vector<int> values;
	for (int i = 0; i < 20; i++)
		values.push_back((i * 7919) % 101);
	std::sort(values.begin(), values.end(), tg_less);
	tg_sink += static_cast<uint64_t>(values[0]);
	TG_AFTER();
}

TG_APART void tg_called()
{
	for (int i = 0; i < 10; i++)
		tg_spin();
	TG_AFTER();
}

TG_APART void tg_functional(const std::function<void(int)> &function)
{
	function(3);
	TG_AFTER();
}

TG_APART void tg_worker()
{
	for (int i = 0; i < 40; i++)
		tg_spin();
	TG_AFTER();
}

TG_APART void tg_threading()
{
	std::thread thread(tg_worker);
	thread.join();
	TG_AFTER();
}

TG_APART void tg_round()
{
	tg_unevenly();
	tg_throwing();
	tg_throwing_often();
	tg_templates();
	tg_virtual();
	tg_algorithms();
	tg_functional([](int times) {
		for (int i = 0; i < times; i++)
			tg_called();
		TG_AFTER();
	});
	tg_threading();
	TG_AFTER();
}

} // namespace tg

int main()
{
	tg_limit_life();
	for (;;)
		tg::tg_round();
}
