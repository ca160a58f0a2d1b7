// Burns in a member function of a class template inside a namespace, until SIGTERM.
#include "clock.h"

namespace tg::mixing {

template <typename Word> class Mixer {
      public:
	__attribute__((noinline)) Word spin(Word word, int rounds) const
	{
		TG_KEEP_FRAME();
		for (int round = 0; round < rounds; round++) {
			word ^= word << 13;
			word ^= word >> 7;
			word += static_cast<Word>(round);
			__asm__ volatile("" : "+r"(word));
		}
		return word;
	}
};

} // namespace tg::mixing

int main()
{
	tg::mixing::Mixer<unsigned long> mixer;
	unsigned long state = 1;

	tg_limit_life();
	for (;;)
		state = mixer.spin(state, 50000);
}
