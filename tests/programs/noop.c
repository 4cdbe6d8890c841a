/*
 * Does nothing, from one file: what starting a process costs at least.
 *
 * link: -static
 */
int main(void)
{
	return 0;
}
