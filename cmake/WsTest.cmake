# ws_add_test(<name> <source>... [RANKS 1 2 3 4] [TIMEOUT 90] [LABELS ...] [LIBS ...] [ROOM index])
#
# One executable, one ctest per rank count, named <name>.np<k>, each in an empty folder of its own.
# ROOM puts that room's private headers on the include path.
#
# ws_add_script_test(<name> <script> [TIMEOUT 120] [LABELS ...] [SLOW])
#
# A bash script with WINGSPAN (the program), MPIRUN (with its flags) and SOURCE (this tree) set;
# it runs in an empty folder, and exit 77 says that it was skipped.
#
# WS_TEST_UNDER (a list, as "valgrind;--quiet") goes in front of every test's program; WS_TEST_PATIENCE
# multiplies every TIMEOUT, where sanitizers or valgrind make all of it slow. LABELS plain: not for a
# build with sanitizers.
set(WS_TEST_UNDER "" CACHE STRING "what the programs of tests run under")
set(WS_TEST_PATIENCE 1 CACHE STRING "factor of all time limits of tests")
set(WS_MPIRUN ${MPIEXEC_EXECUTABLE} --oversubscribe --bind-to none)
# intercept_tls_get_addr: up to GCC 13 the leak sanitizer takes some of a thread's own memory for a header
# of an older libc, by its address alone, and dies of what it reads there ("Tracer caught signal 11").
set(WS_TEST_ENV OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  OMPI_MCA_btl_vader_single_copy_mechanism=none OMPI_MCA_mpi_yield_when_idle=1 OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
  WINGSPAN_CHECK_MEMORY=1 WINGSPAN_TEST_PATIENCE=${WS_TEST_PATIENCE}
  ASAN_OPTIONS=detect_leaks=1:leak_check_at_exit=0:allocator_may_return_null=1:verify_asan_link_order=0:intercept_tls_get_addr=0
  LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/harness/leaks.supp:print_suppressions=0)

# ws_watch(<program>): under the address sanitizer, leaks are failures (tests/harness/leaks.c).
function(ws_watch name)
  if(WS_SANITIZE)
    target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/harness/leaks.c)
  endif()
endfunction()

function(ws_test_label out)
  get_filename_component(room ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  set(${out} ${room} PARENT_SCOPE)
endfunction()

function(ws_add_test name)
  cmake_parse_arguments(T "" "TIMEOUT;ROOM" "RANKS;LABELS;LIBS" ${ARGN})
  if(NOT T_RANKS)
    set(T_RANKS 1 2 3 4)
  endif()
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 90)
  endif()
  ws_test_label(label)
  math(EXPR timeout "${T_TIMEOUT} * ${WS_TEST_PATIENCE}")
  add_executable(${name} ${T_UNPARSED_ARGUMENTS})
  ws_watch(${name})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/harness)
  if(T_ROOM)
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src/${T_ROOM})
  endif()
  target_link_libraries(${name} PRIVATE wingspan_lib ws_pkg_cmocka ${T_LIBS} m)
  foreach(np IN LISTS T_RANKS)
    set(t ${name}.np${np})
    add_test(NAME ${t} COMMAND bash ${PROJECT_SOURCE_DIR}/tests/harness/in_scratch.sh
      ${PROJECT_BINARY_DIR}/scratch/${t} ${WS_MPIRUN} -n ${np} ${WS_TEST_UNDER} $<TARGET_FILE:${name}>)
    # On several ranks a failed assert must end the job, not leave its peers waiting.
    if(np EQUAL 1)
      set(abort 0)
    else()
      set(abort 1)
    endif()
    set_tests_properties(${t} PROPERTIES PROCESSORS ${np} TIMEOUT ${timeout}
      LABELS "np${np};${label};${T_LABELS}" ENVIRONMENT "${WS_TEST_ENV};CMOCKA_TEST_ABORT=${abort}")
  endforeach()
endfunction()

function(ws_add_script_test name script)
  cmake_parse_arguments(T "SLOW" "TIMEOUT" "LABELS" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 120)
  endif()
  math(EXPR timeout "${T_TIMEOUT} * ${WS_TEST_PATIENCE}")
  ws_test_label(label)
  if(T_SLOW)
    list(APPEND T_LABELS slow)
  endif()
  add_test(NAME ${name} COMMAND bash ${PROJECT_SOURCE_DIR}/tests/harness/in_scratch.sh
    ${PROJECT_BINARY_DIR}/scratch/${name} bash ${CMAKE_CURRENT_SOURCE_DIR}/${script})
  set(env ${WS_TEST_ENV} "WINGSPAN=${PROJECT_BINARY_DIR}/wingspan"
    "MPIRUN=${MPIEXEC_EXECUTABLE} --oversubscribe --bind-to none" "SOURCE=${PROJECT_SOURCE_DIR}"
    "BUILD=${PROJECT_BINARY_DIR}")
  set_tests_properties(${name} PROPERTIES PROCESSORS 2 TIMEOUT ${timeout} SKIP_RETURN_CODE 77
    LABELS "script;${label};${T_LABELS}" ENVIRONMENT "${env}")
endfunction()
