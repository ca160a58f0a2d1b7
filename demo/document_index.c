// Indexes documents: writes one, cuts it into words, counts them and ranks them, again and again.
//
//   document-index SECONDS
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DOCUMENT_BYTES (256u << 10)
#define VOCABULARY 4000u
#define INDEX_SLOTS (1u << 14) /* a power of two, well above the number of words */

struct entry {
	const char *word;
	uint64_t hash;
	uint64_t count;
};

struct word_index {
	struct entry entries[INDEX_SLOTS];
	struct entry *ranked[INDEX_SLOTS];
	size_t words;
};

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Writes words of a small language, the first ones of its vocabulary more often. */
static size_t write_document(char *document, uint32_t seed)
{
	static const char syllables[16][3] = { "ka", "lo", "mi", "ra", "te", "so", "nu", "vi",
					       "pe", "do", "ha", "ru", "ti", "be", "ga", "zo" };
	size_t length = 0;
	while (length + 16 < DOCUMENT_BYTES) {
		uint32_t word = next_random(&seed) % VOCABULARY;
		word = (uint64_t)word * (next_random(&seed) % VOCABULARY) / VOCABULARY;
		do {
			memcpy(document + length, syllables[word % 16], 2);
			length += 2;
			word /= 16;
		} while (word > 0);
		document[length++] = next_random(&seed) % 12 ? ' ' : '\n';
	}
	return length;
}

static uint64_t hash_word(const char *word, size_t length)
{
	uint64_t hash = 14695981039346656037u;
	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)word[i]) * 1099511628211u;
	return hash ^ hash >> 32;
}

/* Two words with the same 64 bits of hash are the same to this index. */
static void count_word(struct word_index *index, const char *word, size_t length)
{
	uint64_t hash = hash_word(word, length);
	size_t slot = hash & (INDEX_SLOTS - 1);
	while (index->entries[slot].word && index->entries[slot].hash != hash)
		slot = (slot + 1) & (INDEX_SLOTS - 1);
	struct entry *entry = &index->entries[slot];
	if (!entry->word) {
		entry->word = word;
		entry->hash = hash;
		index->ranked[index->words++] = entry;
	}
	entry->count++;
}

static void tokenize_document(struct word_index *index, const char *document, size_t length)
{
	size_t begin = 0;
	for (size_t at = 0; at < length; at++) {
		if (document[at] != ' ' && document[at] != '\n')
			continue;
		if (at > begin)
			count_word(index, document + begin, at - begin);
		begin = at + 1;
	}
}

static void sift_down(struct entry **entries, size_t at, size_t count)
{
	for (size_t child; (child = 2 * at + 1) < count; at = child) {
		if (child + 1 < count && entries[child + 1]->count < entries[child]->count)
			child++;
		if (entries[at]->count <= entries[child]->count)
			return;
		struct entry *other = entries[at];
		entries[at] = entries[child];
		entries[child] = other;
	}
}

/* The most frequent word first. */
static void rank_words(struct word_index *index)
{
	struct entry **entries = index->ranked;
	for (size_t at = index->words / 2; at-- > 0;)
		sift_down(entries, at, index->words);
	for (size_t last = index->words; last-- > 1;) {
		struct entry *least = entries[0];
		entries[0] = entries[last];
		entries[last] = least;
		sift_down(entries, 0, last);
	}
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 60);
	struct word_index *index = malloc(sizeof(*index));
	char *document = malloc(DOCUMENT_BYTES);
	uint32_t documents = 0;
	if (!index || !document)
		return 1;
	while (time(NULL) < end) {
		size_t length = write_document(document, ++documents);
		memset(index, 0, sizeof(*index));
		tokenize_document(index, document, length);
		rank_words(index);
	}
	printf("%" PRIu32 " documents\n", documents);
	return 0;
}
