# launch/reproduce all: what every paper's system claims is reached; what is counted in seconds a bench judges.
set -u
mkdir tree && cp -r "$SOURCE/launch" tree/ || exit 1
tree/launch/reproduce --program "$WINGSPAN" --untimed all >out 2>err
code=$?
cat out err
[ $code -eq 0 ] && [ ! -s err ] && grep -q '^[1-9][0-9]* PASS, 0 FAIL$' out
