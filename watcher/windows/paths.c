/* Paths of ours and of Windows, one made into the other; none is opened here. See posix.h. */
#include "watcher/windows/paths.h"

char *windows_native(const char *path)
{
	const char *from = path[0] == '/' && windows_has_drive(path + 1) ? path + 1 : path;
	size_t len = strlen(from);
	char *out = malloc(len + 2);

	if (!out)
		return NULL;
	for (size_t i = 0; i <= len; i++)
		out[i] = from[i] == '/' ? '\\' : from[i];
	if (windows_has_drive(out) && !out[2])
		memcpy(out + 2, "\\", 2);
	return out;
}

wchar_t *windows_wide(const char *path)
{
	char *native = windows_native(path);
	bool is_long = native && windows_has_drive(native) && strlen(native) > 240;
	int n = native ? MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, native, -1, NULL, 0) : 0;
	wchar_t *out = n ? malloc(((size_t)n + 4) * sizeof *out) : NULL;

	if (out) {
		if (is_long) /* a mark in front, and it is taken as it is */
			memcpy(out, L"\\\\?\\", 4 * sizeof *out);
		MultiByteToWideChar(CP_UTF8, 0, native, -1, out + (is_long ? 4 : 0), n);
	}
	errno = !native || n ? ENOMEM : ENOENT;
	free(native);
	return out;
}

char *windows_narrow(const wchar_t *path)
{
	int n;
	char *out;

	if (wcsncmp(path, L"\\\\?\\", 4) == 0)
		path += 4;
	n = WideCharToMultiByte(CP_UTF8, 0, path, -1, NULL, 0, NULL, NULL);
	if (n <= 0 || !(out = malloc((size_t)n + 1))) {
		errno = ENOMEM;
		return NULL;
	}
	WideCharToMultiByte(CP_UTF8, 0, path, -1, out + 1, n, NULL, NULL);
	out[0] = '/';
	for (char *p = out; *p; p++)
		if (*p == '\\')
			*p = '/';
	for (size_t len = strlen(out); len > 1 && out[len - 1] == '/'; len--)
		out[len - 1] = '\0';
	return out;
}

char *windows_absolute(const char *given)
{
	wchar_t *from = windows_wide(given), full[PATH_MAX], real[PATH_MAX];
	DWORD n = from ? GetFullPathNameW(from, PATH_MAX, full, NULL) : 0;

	free(from);
	if (!n || n >= PATH_MAX)
		return NULL;
	/* As the names are spelled, if it is there. */
	n = GetLongPathNameW(full, real, PATH_MAX);
	if (!n || n >= PATH_MAX)
		wcscpy(real, full);
	if (real[0] >= L'a' && real[0] <= L'z' && real[1] == L':')
		real[0] = (wchar_t)(real[0] - L'a' + L'A');
	return windows_narrow(real);
}
