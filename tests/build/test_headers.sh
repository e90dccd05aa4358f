# Every public header compiles alone, without a warning.
set -u
failed=0
cd "$SOURCE/include"
for h in $(find wingspan -name '*.h'); do
  printf '#include "%s"\nint nothing;\n' "$h" |
    mpicc -std=c11 -Wall -Wextra -Wconversion -Wshadow -Werror -I . -x c -c - -o /dev/null ||
    { echo "FAIL: $h"; failed=1; }
done
exit $failed
